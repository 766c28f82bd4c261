"""What an account does at once, and in a minute."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from time import sleep

import pytest
from django.core.cache import cache
from pytest_django import Settings
from redis.exceptions import ConnectionError as RedisIsAway

from fl_server_core import long_requests, shared_counts
from fl_server_core.exceptions import AccountBusy, ServerBusy
from fl_server_core.long_requests import count_request, inference_of, poll_of, seat, seats_for_all
from fl_server_core.models import User
from fl_server_core.shared_counts import take_place


@pytest.fixture(autouse=True)
def own_seats(settings: Settings) -> Iterator[Settings]:
    long_requests._seats.cache_clear()
    yield settings
    long_requests._seats.cache_clear()


def test_an_account_has_so_many_inferences_at_once(actor: User, anna: User, settings: Settings) -> None:
    settings.FL_MAX_INFERENCES = 2
    with inference_of(actor), inference_of(actor):
        with pytest.raises(AccountBusy, match=r"^You have as many inferences under way as .* 2 \(FL_MAX_INFERENCES\)"):
            inference_of(actor).__enter__()
        with inference_of(anna):
            pass
    with inference_of(actor):
        pass


def test_polls_and_inferences_are_counted_apart(actor: User, settings: Settings) -> None:
    settings.FL_MAX_INFERENCES = settings.FL_MAX_POLLS = 1
    with inference_of(actor), poll_of(actor, 1), pytest.raises(AccountBusy, match="FL_MAX_POLLS"):
        poll_of(actor, 1).__enter__()


def test_an_inference_that_fails_gives_its_place_back(actor: User, settings: Settings) -> None:
    settings.FL_MAX_INFERENCES = 1
    for _ in range(3):
        with pytest.raises(RuntimeError), inference_of(actor):
            raise RuntimeError


def test_zero_is_no_bound(actor: User, settings: Settings) -> None:
    settings.FL_MAX_INFERENCES = settings.FL_MAX_REQUESTS = 0
    with ExitStack() as stack:
        for _ in range(seats_for_all(settings.FL_WEB_THREADS)):
            stack.enter_context(inference_of(actor))
    count_request(actor)


def test_all_accounts_together_leave_threads_to_others(actor: User, settings: Settings) -> None:
    settings.FL_WEB_THREADS, settings.FL_MAX_INFERENCES = 8, 0
    with ExitStack() as stack:
        for _ in range(6):
            stack.enter_context(inference_of(actor))
        with seat() as held:
            assert not held
        with pytest.raises(ServerBusy):
            inference_of(actor).__enter__()
    with seat() as held:
        assert held


@pytest.mark.parametrize(("threads", "seats"), [(1, 1), (2, 1), (3, 2), (4, 3), (16, 12)])
def test_three_quarters_of_the_threads_are_for_long_requests(threads: int, seats: int) -> None:
    assert seats_for_all(threads) == seats


def test_a_place_that_nobody_gave_back_is_free_after_its_time(actor: User) -> None:
    lost = take_place("test", actor.pk, limit=1, seconds=1)
    assert lost is not None
    assert take_place("test", actor.pk, limit=1, seconds=1) is None
    sleep(1.1)
    taken = take_place("test", actor.pk, limit=1, seconds=60)
    assert taken is not None
    lost.give_back()  # late: it is another's by now
    assert take_place("test", actor.pk, limit=1, seconds=1) is None
    taken.give_back()
    assert take_place("test", actor.pk, limit=1, seconds=1) is not None


def test_a_request_too_many_in_a_minute_is_told_when_the_next_one_begins(
    actor: User, anna: User, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.FL_MAX_REQUESTS = 3
    now = 1_800_000_015.0  # 15 seconds into a minute
    monkeypatch.setattr(shared_counts, "time", lambda: now)
    for _ in range(3):
        count_request(actor)
    with pytest.raises(AccountBusy, match="Try again in 45 s") as refusal:
        count_request(actor)
    assert refusal.value.retry_seconds == 45
    count_request(anna)
    monkeypatch.setattr(shared_counts, "time", lambda: now + 45)
    count_request(actor)


def test_while_redis_is_away_nobody_is_refused_and_it_is_not_asked_each_time(
    actor: User, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.FL_MAX_INFERENCES = settings.FL_MAX_REQUESTS = 1
    asked = []

    def fail(*_: object, **__: object) -> None:
        asked.append(1)
        raise RedisIsAway

    monkeypatch.setattr(shared_counts, "_cache", shared_counts._Cache())
    monkeypatch.setattr(cache, "add", fail)
    for _ in range(3):
        count_request(actor)
        with inference_of(actor), inference_of(actor):
            pass
    assert len(asked) == 1
