"""Entries that wait in memory: counted where they repeat, bounded where strangers send them, kept while the database is
away."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import OperationalError

from fl_server_core.models import AuditEntry, Outcome
from fl_server_core.services import trail_buffer
from fl_server_core.services.trail_buffer import MOST_WAITING, STRANGERS, WINDOW_SECONDS, Buffer
from tests.builders.trail import trail

pytestmark = pytest.mark.django_db
ANNA = UUID(int=1)
REFUSED: dict[str, Any] = {"verb": "read", "outcome": Outcome.REFUSED, "status": 401}


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(trail_buffer, "monotonic", clock)
    return clock


@pytest.fixture
def buffer(clock: Clock) -> Buffer:
    return Buffer()


def refusal(address: str = "192.0.2.1", **changes: Any) -> dict[str, Any]:
    return {**REFUSED, "address": address, **changes}


def download(account: UUID = ANNA, key: str = "m1", **changes: Any) -> dict[str, Any]:
    values = {"verb": "download", "object_kind": "model", "object_id": key, "account_id": account, "status": 200}
    return {**values, **changes}


def test_of_repeated_refusals_the_first_is_written_at_once_and_the_others_are_counted(
    buffer: Buffer, clock: Clock
) -> None:
    for _ in range(1000):
        buffer.add(**refusal())
        buffer.flush()
    assert trail("count") == [1]
    clock.now += WINDOW_SECONDS
    buffer.flush()
    assert trail("count", "status", "address") == [(1, 401, "192.0.2.1"), (999, 401, "192.0.2.1")]
    assert "until" in AuditEntry.objects.latest("pk").details


def test_a_single_refusal_has_no_second_entry(buffer: Buffer, clock: Clock) -> None:
    buffer.add(**refusal())
    clock.now += WINDOW_SECONDS
    buffer.flush(everything=True)
    assert trail("count") == [1]


def test_what_differs_is_told_apart(buffer: Buffer) -> None:
    different = [
        refusal(),
        refusal(status=403),
        refusal(verb="create"),
        refusal("192.0.2.2"),
        refusal(account_id=ANNA),
        refusal(account_id=ANNA, token_id=uuid4()),
    ]
    for entry in different:
        buffer.add(**entry)
    buffer.flush()
    assert trail("count") == [1] * 6


def test_refusals_about_made_up_ids_are_the_same(buffer: Buffer) -> None:
    for _ in range(50):
        buffer.add(**refusal(object_kind="model", object_id=str(uuid4()), account_id=ANNA))
    buffer.flush(everything=True)
    assert trail("count") == [1, 49]


def test_the_addresses_of_one_network_of_ipv6_count_as_one(buffer: Buffer) -> None:
    for number in range(20):
        buffer.add(**refusal(f"2001:db8::{number:x}"))
    buffer.flush(everything=True)
    assert trail("count") == [1, 19]


def test_every_object_that_is_downloaded_has_an_entry_and_repeats_are_counted(buffer: Buffer) -> None:
    for key in ("m1", "m2", "m1", "m1"):
        buffer.add(**download(key=key))
    buffer.add(**download(account=UUID(int=2)))
    buffer.flush(everything=True)
    assert trail("account_id", "object_id", "count") == [
        (ANNA, "m1", 1),
        (ANNA, "m2", 1),
        (UUID(int=2), "m1", 1),
        (ANNA, "m1", 2),
    ]


def test_strangers_of_many_addresses_make_a_bounded_number_of_entries(buffer: Buffer, clock: Clock) -> None:
    sent = 3 * STRANGERS
    for number in range(sent):
        buffer.add(**refusal(f"10.0.{number // 256}.{number % 256}"))
    buffer.flush()
    assert AuditEntry.objects.count() == STRANGERS
    clock.now += WINDOW_SECONDS
    buffer.flush()
    newest = AuditEntry.objects.latest("pk")
    assert (newest.verb, newest.count) == ("left out", sent - STRANGERS)
    assert AuditEntry.objects.count() == STRANGERS + 1


def test_strangers_leave_room_for_accounts_and_each_other_again_after_a_while(buffer: Buffer, clock: Clock) -> None:
    for number in range(STRANGERS + 1):
        buffer.add(**refusal(f"10.0.{number // 256}.{number % 256}"))
    buffer.add(**download())
    clock.now += WINDOW_SECONDS
    buffer.flush()
    buffer.add(**refusal("192.0.2.9"))
    buffer.flush()
    assert trail("address", verb="read").count("192.0.2.9") == 1
    assert trail("count", verb="download") == [1]


def test_what_could_not_be_written_is_written_later(buffer: Buffer, monkeypatch: pytest.MonkeyPatch) -> None:
    buffer.add(**download())
    with monkeypatch.context() as patch:
        patch.setattr(AuditEntry.objects, "bulk_create", failing)
        with pytest.raises(OperationalError):
            buffer.flush()
    buffer.add(**download(key="m2"))
    buffer.flush()
    assert trail("object_id") == ["m1", "m2"]


def failing(*_: object) -> None:
    raise OperationalError("away")


def test_while_the_database_is_away_a_bounded_number_waits_and_the_rest_is_counted(
    buffer: Buffer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trail_buffer, "MOST_WAITING", 10)
    assert MOST_WAITING > 10
    for number in range(25):
        buffer.add(**download(key=f"m{number}"))
    clock.now += WINDOW_SECONDS
    buffer.flush()
    assert trail("count", verb="download") == [1] * 10
    assert trail("count", verb="left out") == [15]


@pytest.mark.django_db(transaction=True)
def test_an_entry_that_the_database_never_takes_does_not_hold_up_the_others(buffer: Buffer) -> None:
    first, impossible, last = (uuid4() for _ in range(3))
    for account in (first, impossible, last):
        buffer.add(**download(account=account, count=-1 if account == impossible else 1))  # a count is positive
    buffer.flush()
    assert trail("account_id") == [first, last]
