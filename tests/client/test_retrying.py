"""How long a client waits before it asks again."""

import httpx
import pytest
from fl_server_client.retrying import LONGEST, may_help, with_jitter

pytestmark = pytest.mark.once


def waits(pause: float, **headers: str) -> list[float]:
    response = httpx.Response(429, headers={name.replace("_", "-"): value for name, value in headers.items()})
    return [with_jitter(pause, response) for _ in range(200)]


def test_pauses_differ_by_up_to_a_half() -> None:
    found = waits(2.0)
    assert 2.0 <= min(found) < 2.2
    assert 2.8 < max(found) <= 3.0


def test_retry_after_sets_the_least() -> None:
    assert min(waits(1.0, Retry_After="20")) >= 20
    assert max(waits(1.0, Retry_After="99999")) <= 1.5 * LONGEST


@pytest.mark.parametrize("value", ["soon", "-5", "²", "Wed, 21 Oct 2015 07:28:00 GMT", ""])
def test_a_retry_after_that_is_not_a_number_of_seconds_is_ignored(value: str) -> None:
    headers = [(b"Retry-After", value.encode("latin-1"))]
    assert with_jitter(1.0, httpx.Response(503, headers=headers)) <= 1.5


@pytest.mark.parametrize(
    ("status", "helps"), [(500, True), (502, True), (503, True), (429, True), (408, True), (507, False), (400, False)]
)
def test_only_failures_that_pass_are_worth_another_try(status: int, helps: bool) -> None:
    assert may_help(httpx.Response(status)) is helps
