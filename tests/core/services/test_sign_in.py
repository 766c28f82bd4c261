from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.contrib.auth.hashers import MD5PasswordHasher
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from fl_server_core.exceptions import TooManyFailures
from fl_server_core.models import FailedSignIns, User
from fl_server_core.services import sign_in as module
from fl_server_core.services.sign_in import sign_in, successes
from fl_server_core.services.sign_in_limits import forget_refusals, group_of
from fl_server_core.services.users import set_password
from tests.builders.clients import make_operator
from tests.builders.rows import make_user
from tests.builders.threads import at_once

pytestmark = pytest.mark.django_db
PASSWORD = "a long enough Passw0rd"
HOME, ELSEWHERE = "192.0.2.1", "198.51.100.7"


@pytest.fixture
def anna() -> User:
    return make_user("anna", password=PASSWORD)


@pytest.fixture
def hashes(monkeypatch: pytest.MonkeyPatch, anna: User) -> list[str]:
    """Every password that was hashed since the account was made."""
    seen: list[str] = []
    encode: Callable[..., str] = MD5PasswordHasher.encode

    def note(hasher: MD5PasswordHasher, password: str, salt: str) -> str:
        seen.append(password)
        return encode(hasher, password, salt)

    monkeypatch.setattr(MD5PasswordHasher, "encode", note)
    return seen


def attempt(password: str = PASSWORD, username: str = "anna", address: str = HOME) -> User | None:
    return sign_in(username=username, password=password, address=address)


def fail(times: int, **where: str) -> None:
    for number in range(times):
        assert attempt(f"wrong {number}", **where) is None


def pass_time(seconds: float) -> None:
    """As if all failures had happened so much earlier."""
    for row in FailedSignIns.objects.all():
        FailedSignIns.objects.filter(pk=row.pk).update(began_at=row.began_at - timedelta(seconds=seconds))
    forget_refusals()


def test_after_ten_failures_even_the_right_password_is_refused_without_a_hash(hashes: list[str]) -> None:
    fail(10)
    del hashes[:]
    with pytest.raises(TooManyFailures) as refused:
        attempt()
    assert 290 < refused.value.retry_after <= 300
    assert hashes == []


def test_what_is_refused_costs_no_statement_either(hashes: list[str]) -> None:
    fail(10)
    with suppress(TooManyFailures):
        attempt()
    with CaptureQueriesContext(connection) as statements:
        for number in range(100):
            with pytest.raises(TooManyFailures):
                attempt(f"guess {number}")
    assert (len(statements), len(hashes)) == (0, 10)


def test_other_processes_know_from_the_database(anna: User) -> None:
    fail(10)
    forget_refusals()
    with pytest.raises(TooManyFailures):
        attempt()


def test_nobody_locks_an_owner_out_from_another_address(anna: User) -> None:
    fail(10, address=ELSEWHERE)
    with pytest.raises(TooManyFailures):
        attempt(address=ELSEWHERE)
    assert attempt(address=HOME) == anna


def test_who_mistypes_locks_nobody_else_out_behind_the_same_address(anna: User) -> None:
    make_user("ben", password=PASSWORD)
    fail(10, username="ben")
    assert attempt() == anna


def test_an_address_that_tries_ten_accounts_is_refused_for_all(anna: User, hashes: list[str]) -> None:
    for number in range(10):
        assert attempt("wrong", username=f"name-{number}") is None
    del hashes[:]
    with pytest.raises(TooManyFailures):
        attempt()
    assert hashes == []
    assert attempt(address=ELSEWHERE) == anna


def test_a_success_forgets_the_failures_of_this_account_only(anna: User) -> None:
    fail(1, username="ben")
    fail(9)
    assert attempt() == anna
    successes.clear()
    fail(9)
    assert attempt() == anna
    assert FailedSignIns.objects.count() == 1


def test_after_five_minutes_the_count_begins_anew(anna: User) -> None:
    fail(10)
    pass_time(299)
    with pytest.raises(TooManyFailures) as refused:
        attempt()
    assert refused.value.retry_after <= 2
    pass_time(2)
    fail(10)
    with pytest.raises(TooManyFailures):
        attempt()


def test_old_counts_are_deleted(anna: User) -> None:
    fail(1, username="someone")
    pass_time(301)
    fail(1)
    assert FailedSignIns.objects.count() == 1


def test_the_numbers_are_settings(anna: User, settings: Settings) -> None:
    settings.FL_SIGN_IN_FAILURES, settings.FL_SIGN_IN_WINDOW_SECONDS = 2, 60
    fail(2)
    with pytest.raises(TooManyFailures) as refused:
        attempt()
    assert refused.value.retry_after <= 60


def test_names_are_counted_as_digests(anna: User) -> None:
    attempt("wrong", username=PASSWORD)
    assert PASSWORD not in str(FailedSignIns.objects.values().get())


@pytest.mark.django_db(transaction=True)
def test_those_who_guess_at_the_same_moment_get_no_more_tries(hashes: list[str]) -> None:
    def guess(number: int) -> None:
        with suppress(TooManyFailures):
            attempt(f"wrong {number}")

    at_once(*(partial(guess, number) for number in range(16)))
    assert len(hashes) == 10


@pytest.mark.django_db(transaction=True)
def test_those_with_the_right_password_are_all_let_in_for_one_hash(anna: User, hashes: list[str]) -> None:
    found = []
    at_once(*[lambda: found.append(attempt())] * 16)
    assert (found, len(hashes)) == ([anna] * 16, 1)


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("", "", True),
        ("nonsense" * 100, "nonsense" * 101, True),
    ],
)
def test_an_address_is_one_of_ipv4_or_a_network_of_ipv6(one: str, other: str, is_same: bool) -> None:
    assert (group_of(one) == group_of(other)) == is_same
    assert len(group_of(one)) <= 64


# One hash in five minutes.


def test_the_right_password_is_hashed_once_in_five_minutes(
    anna: User, hashes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(module, "monotonic", lambda: now)
    for _ in range(50):
        assert attempt() == anna
    now += 299
    assert attempt() == anna
    assert len(hashes) == 1
    now += 2
    assert attempt() == anna
    assert len(hashes) == 2


def test_the_kept_success_is_of_this_name_and_this_password(anna: User, hashes: list[str]) -> None:
    make_user("ann", password="other")
    attempt()
    assert attempt("a" + PASSWORD, username="ann") is None
    assert attempt(PASSWORD + " ") is None
    assert attempt(PASSWORD.lower()) is None


def test_what_was_right_from_one_address_is_no_answer_to_guesses_from_another(anna: User, hashes: list[str]) -> None:
    fail(10, address=ELSEWHERE)
    assert attempt(address=HOME) == anna
    hashes.clear()
    with pytest.raises(TooManyFailures):
        attempt(address=ELSEWHERE)
    with pytest.raises(TooManyFailures):
        module.refuse_at_once(username="anna", password=PASSWORD, address=ELSEWHERE)
    assert hashes == []
    module.refuse_at_once(username="anna", password=PASSWORD, address=HOME)


def test_wrong_passwords_are_hashed_each_time(hashes: list[str]) -> None:
    assert [attempt("wrong"), attempt("wrong"), len(hashes)] == [None, None, 2]


def test_who_has_just_signed_in_is_not_shut_out_by_failures(anna: User) -> None:
    attempt()
    fail(10)
    assert attempt() == anna


def change_password(user: User) -> None:
    set_password(user_id=user.pk, author=make_operator(), password="another password")


def switch_off(_user: User) -> None:
    User.objects.update(is_active=False)


def rename(_user: User) -> None:
    User.objects.update(password="!unusable")


def delete(user: User) -> None:
    user.delete()


@pytest.mark.parametrize("change", [change_password, switch_off, rename, delete])
def test_a_change_of_the_account_ends_a_kept_success_at_once(anna: User, change: Callable[[User], Any]) -> None:
    assert attempt() == anna
    change(anna)
    assert attempt() is None


def test_a_kept_success_holds_no_password(anna: User) -> None:
    attempt()
    assert PASSWORD not in repr(vars(successes))
    assert len(successes._kept) == 1


def test_only_so_many_successes_are_kept(anna: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SUCCESSES", 3)
    for number in range(5):
        make_user(f"u{number}", password=PASSWORD)
        attempt(username=f"u{number}")
    assert len(successes._kept) <= 3


def test_failures_are_counted_from_a_certain_time() -> None:
    before = timezone.now()
    fail(2, username="nobody")
    row = FailedSignIns.objects.get()
    assert (row.failures, before <= row.began_at <= timezone.now()) == (2, True)
