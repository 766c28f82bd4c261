"""The chain of the trail: what is changed, removed or put in behind the server's back is found and named."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

import pytest
from django.utils import timezone

from fl_server_core.models import AuditChain, AuditEntry, AuditPending, AuditSeal
from fl_server_core.selectors import trail as selectors
from fl_server_core.selectors.trail import Verdict, export_trail, verify_trail
from fl_server_core.services import trail_sealing
from fl_server_core.services.trail_purging import purge_trail
from fl_server_core.services.trail_sealing import seal_trail
from tests.builders.trail import ENTRIES, SEALS, make_entries, tamper

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that what goes wrong between two of them shows."""
    monkeypatch.setattr(selectors, "BATCH", 2)
    monkeypatch.setattr(trail_sealing, "BATCH", 2)


@pytest.fixture
def five(db: None) -> list[AuditEntry]:
    return make_entries("register", "create", "start", "upload", "delete", account_name="anna")


def head() -> str:
    return AuditChain.objects.get().hash


def test_an_untouched_trail_is_good_up_to_its_last_position(five: list[AuditEntry]) -> None:
    assert verify_trail() == Verdict(problem="", first=1, position=5, hash=head(), waiting=0)


def test_an_empty_trail_is_good() -> None:
    assert verify_trail() == Verdict(problem="", first=1, position=0, hash="0" * 64, waiting=0)


def test_an_entry_that_is_not_sealed_yet_is_counted(five: list[AuditEntry]) -> None:
    AuditEntry.objects.create(verb="stop")
    verdict = verify_trail()
    assert (verdict.problem, verdict.position, verdict.waiting) == ("", 5, 1)


@pytest.mark.parametrize("place", range(5))
@pytest.mark.parametrize("column", ["verb", "account_name", "address", "outcome", "object_id"])
def test_a_changed_entry_is_named(five: list[AuditEntry], place: int, column: str) -> None:
    entry = five[place]
    tamper(f"UPDATE {ENTRIES} SET {column} = 'ben' WHERE id = {entry.pk}")
    verdict = verify_trail()
    assert verdict.problem == f"Entry {entry.pk}, at position {place + 1}, is not what was sealed: it was changed."
    assert verdict.position == place


def test_a_removed_entry_is_named(five: list[AuditEntry]) -> None:
    tamper(f"DELETE FROM {ENTRIES} WHERE id = {five[2].pk}")
    assert verify_trail().problem == f"Entry {five[2].pk}, at position 3, is missing: it was removed."


def test_an_entry_that_was_removed_with_its_seal_leaves_a_gap(five: list[AuditEntry]) -> None:
    key = five[2].pk
    tamper(f"DELETE FROM {ENTRIES} WHERE id = {key}", f"DELETE FROM {SEALS} WHERE entry_id = {key}")
    assert verify_trail().problem == "The seal at position 3 is missing: it was removed."


def test_the_last_entry_can_not_be_removed_unseen(five: list[AuditEntry]) -> None:
    key = five[4].pk
    tamper(f"DELETE FROM {ENTRIES} WHERE id = {key}", f"DELETE FROM {SEALS} WHERE entry_id = {key}")
    assert verify_trail().problem == "The chain ends at position 5, but position 5 is missing."


def test_two_entries_that_have_changed_places_are_found(five: list[AuditEntry]) -> None:
    first, second = five[1].pk, five[2].pk
    tamper(
        f"UPDATE {SEALS} SET entry_id = -1 WHERE entry_id = {first}",
        f"UPDATE {SEALS} SET entry_id = {first} WHERE entry_id = {second}",
        f"UPDATE {SEALS} SET entry_id = {second} WHERE entry_id = -1",
    )
    assert verify_trail().problem == f"Entry {second}, at position 2, is not what was sealed: it was changed."


def test_an_entry_that_was_put_in_is_named(five: list[AuditEntry]) -> None:
    tamper()
    stray = AuditEntry.objects.create(verb="upload")
    assert verify_trail().problem == (
        f"Entry {stray.pk} is not part of the chain, nor does it wait to be: it was put in."
    )


def test_an_entry_that_took_the_place_of_a_sealed_one_is_named(five: list[AuditEntry]) -> None:
    key = five[3].pk
    tamper(f"DELETE FROM {ENTRIES} WHERE id = {key}")
    AuditEntry.objects.create(id=key, verb="nothing")
    AuditPending.objects.create(entry_id=key)  # as the trigger does
    assert seal_trail() == 0
    assert verify_trail().problem == f"Entry {key}, at position 4, is not what was sealed: it was changed."


def test_an_entry_that_was_removed_before_it_was_sealed_is_named(five: list[AuditEntry]) -> None:
    entry, _ = (AuditEntry.objects.create(verb=verb) for verb in ("stop", "resume"))
    tamper(f"DELETE FROM {ENTRIES} WHERE id = {entry.pk}")
    assert seal_trail() == 1  # goes on with the others
    assert verify_trail().problem == f"Entry {entry.pk} was removed before it was sealed."


def test_a_seal_beyond_the_end_is_named(five: list[AuditEntry]) -> None:
    tamper()
    AuditSeal.objects.create(position=6, entry_id=five[0].pk + 100, hash="1" * 64, sealed_at=timezone.now())
    assert verify_trail().problem == "There is a seal at position 6, beyond the chain's end: it was put in."


def rewrite() -> None:
    """All seals made anew, as somebody would who has changed an entry."""
    tamper(f"DELETE FROM {SEALS}", f"UPDATE {AuditChain._meta.db_table} SET position = 0, hash = '{'0' * 64}'")
    tamper(f"INSERT INTO fl_server_core_auditpending (entry_id) SELECT id FROM {ENTRIES}")
    seal_trail()


def test_a_chain_that_was_written_anew_lacks_the_hash_that_was_kept_elsewhere(five: list[AuditEntry]) -> None:
    anchor = head()
    tamper(f"UPDATE {ENTRIES} SET verb = 'nothing' WHERE id = {five[1].pk}")
    rewrite()
    assert verify_trail().problem == ""
    assert verify_trail(expected=anchor).problem.startswith("The expected hash is not in the chain")


def test_a_hash_of_an_earlier_day_is_still_in_the_chain(five: list[AuditEntry]) -> None:
    anchor = head()
    make_entries("stop", "resume", "download")
    assert verify_trail(expected=anchor).problem == ""
    assert verify_trail(expected=head()).problem == ""
    assert verify_trail(expected="0" * 63 + "1").problem != ""


def made_earlier(days: int, *verbs: str) -> list[AuditEntry]:
    moment = timezone.now() - timedelta(days=days)
    made = [AuditEntry.objects.create(verb=verb, at=moment) for verb in verbs]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timezone, "now", lambda: moment)
        seal_trail()
    return made


def test_a_purge_removes_the_oldest_and_the_rest_verifies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fl_server_core.services.trail_purging.BATCH", 2)
    made_earlier(30, "register", "create", "start")
    last_purged = head()
    made_earlier(3, "upload", "stop")
    before = head()
    assert purge_trail(older_than=timedelta(days=10)) == 3
    assert list(AuditEntry.objects.values_list("verb", flat=True)) == ["upload", "stop", "purge"]
    seal_trail()
    assert verify_trail() == Verdict(problem="", first=4, position=6, hash=head(), waiting=0)
    assert verify_trail(expected=before).problem == ""
    assert verify_trail(expected=last_purged).problem == ""
    purged = AuditEntry.objects.get(verb="purge")
    assert (purged.credential, purged.details) == ("server", {"entries": 3, "up_to": 3})


def test_after_a_purge_a_change_is_still_found() -> None:
    made_earlier(30, "register")
    kept, _ = made_earlier(3, "upload", "stop")
    purge_trail(older_than=timedelta(days=10))
    tamper(f"UPDATE {ENTRIES} SET verb = 'nothing' WHERE id = {kept.pk}")
    assert verify_trail().problem == f"Entry {kept.pk}, at position 2, is not what was sealed: it was changed."


def test_a_purge_of_everything_leaves_a_chain_that_goes_on() -> None:
    made_earlier(30, "register", "create")
    assert purge_trail(older_than=timedelta(days=10)) == 2
    make_entries("start")
    assert verify_trail().problem == ""
    assert [line["position"] for line in export_trail()] == [3, 4]


def test_nothing_old_nothing_purged(five: list[AuditEntry]) -> None:
    assert purge_trail(older_than=timedelta(days=1)) == 0
    assert AuditEntry.objects.count() == 5


def computed(line: dict[str, Any]) -> str:
    """The hash of a line of the export, as docs/audit.md describes it."""
    rest = {name: value for name, value in line.items() if name != "hash"}
    return sha256(json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()).hexdigest()


def test_an_export_can_be_verified_without_the_server() -> None:
    account = UUID(int=7)
    moment = datetime(2026, 1, 31, 12, 0, 0, 5, tzinfo=UTC)
    values: dict[str, Any] = {"at": moment, "account_id": account, "account_name": "Änne", "details": {"version": 2}}
    make_entries("download", "upload", **values)
    lines = list(export_trail())
    assert [line["position"] for line in lines] == [1, 2]
    assert lines[0]["previous"] == "0" * 64
    assert lines[1]["previous"] == lines[0]["hash"]
    assert [line["hash"] for line in lines] == [computed(line) for line in lines]
    entry = lines[0]["entry"]
    assert (entry["at"], entry["account_id"], entry["account_name"], entry["verb"], entry["details"]) == (
        "2026-01-31T12:00:00.000005+00:00",
        str(account),
        "Änne",
        "download",
        {"version": 2},
    )


def test_an_export_since_a_time_begins_with_what_was_sealed_then() -> None:
    made_earlier(30, "register", "create")
    made_earlier(3, "start", "upload")
    lines = list(export_trail(since=timezone.now() - timedelta(days=10)))
    assert [line["entry"]["verb"] for line in lines] == ["start", "upload"]
    assert lines[0]["previous"] == AuditSeal.objects.get(position=2).hash
    assert list(export_trail(since=timezone.now() + timedelta(days=1))) == []
