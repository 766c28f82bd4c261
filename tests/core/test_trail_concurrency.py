"""Entries that are written while others are sealed."""

from __future__ import annotations

import threading
from functools import partial

import pytest
from django.db import connection, transaction

from fl_server_core.models import AuditEntry, AuditSeal
from fl_server_core.selectors.trail import verify_trail
from fl_server_core.services import trail_sealing
from fl_server_core.services.trail_sealing import seal_trail
from tests.builders.threads import at_once

pytestmark = pytest.mark.django_db(transaction=True)
NUMBER = 30


def write(name: str) -> int:
    """Some one by one, some in transactions, of which every third is rolled back."""
    for number in range(NUMBER):
        with transaction.atomic():
            AuditEntry.objects.create(verb="upload", account_name=name, round=number)
            if number % 3 == 2:
                transaction.set_rollback(True)
    return 0


def sealing(is_over: threading.Event) -> int:
    sealed = 0
    while not is_over.is_set():
        sealed += seal_trail()
    return sealed + seal_trail()


def test_writers_and_sealers_at_once_leave_no_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trail_sealing, "BATCH", 7)
    is_over = threading.Event()

    def all_written() -> int:
        try:
            at_once(*[partial(write, f"writer-{number}") for number in range(3)])
        finally:
            is_over.set()
        return 0

    sealed = sum(at_once(all_written, partial(sealing, is_over), partial(sealing, is_over)))
    written = 3 * NUMBER * 2 // 3
    assert (sealed, AuditEntry.objects.count()) == (written, written)
    assert list(AuditSeal.objects.values_list("position", flat=True)) == list(range(1, written + 1))
    assert verify_trail().problem == ""


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one writer: ids come in the order of commits")
def test_an_entry_that_is_committed_late_is_sealed_after_those_with_larger_ids() -> None:
    has_written, may_commit = threading.Event(), threading.Event()

    def late() -> int:
        with transaction.atomic():
            key = AuditEntry.objects.create(verb="late").pk
            has_written.set()
            assert may_commit.wait(30)
        return key

    def early() -> int:
        assert has_written.wait(30)
        key = AuditEntry.objects.create(verb="early").pk
        assert seal_trail() == 1
        may_commit.set()
        return key

    smaller, larger = at_once(late, early)
    assert smaller < larger
    assert seal_trail() == 1
    assert list(AuditSeal.objects.values_list("entry_id", flat=True)) == [larger, smaller]
    assert verify_trail().problem == ""


def test_of_two_who_seal_at_once_one_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    AuditEntry.objects.bulk_create([AuditEntry(verb="create") for _ in range(40)])
    both_have_read = threading.Barrier(2)
    hash_of = trail_sealing.hash_of

    def hash_when_both_have_read(values: object) -> str:
        if isinstance(values, dict) and values["position"] == 1:
            both_have_read.wait(30)
        return hash_of(values)  # type: ignore[arg-type]

    monkeypatch.setattr(trail_sealing, "hash_of", hash_when_both_have_read)
    assert sorted(at_once(seal_trail, seal_trail)) == [0, 40]
    monkeypatch.undo()
    assert verify_trail().position == 40
