"""`manage.py audit`."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from fl_server_core.models import AuditChain, AuditEntry
from tests.builders.trail import ENTRIES, make_entries, tamper

pytestmark = pytest.mark.django_db


def audit(*arguments: str) -> list[str]:
    output = StringIO()
    call_command("audit", *arguments, stdout=output)
    return output.getvalue().splitlines()


def test_verify_seals_what_waits_and_prints_the_last_hash() -> None:
    make_entries("register", "create")
    AuditEntry.objects.create(verb="start")
    lines = audit("verify")
    head = AuditChain.objects.get().hash
    assert lines == ["3 entries are good, from position 1 to 3.", f"Hash of position 3: {head}"]
    assert audit("verify", "--expect", head.upper()) == lines


def test_verify_of_an_empty_trail() -> None:
    assert audit("verify") == ["The trail is empty.", f"Hash of position 0: {'0' * 64}"]


def test_verify_fails_with_a_sentence_that_names_the_entry() -> None:
    _, second, _ = make_entries("register", "create", "start")
    tamper(f"UPDATE {ENTRIES} SET verb = 'nothing' WHERE id = {second.pk}")
    with pytest.raises(CommandError) as refused:
        audit("verify")
    assert refused.value.returncode == 1
    assert str(refused.value) == (
        f"Entry {second.pk}, at position 2, is not what was sealed: it was changed. "
        "1 entries are good, from position 1 to 1."
    )


def test_verify_fails_where_the_expected_hash_is_missing() -> None:
    make_entries("register")
    with pytest.raises(CommandError, match="expected hash"):
        audit("verify", "--expect", "1" * 64)


def test_export_prints_one_object_a_line() -> None:
    make_entries("register", "create", account_name="Änne")
    lines = [json.loads(line) for line in audit("export")]
    assert [(line["position"], line["entry"]["verb"], line["entry"]["account_name"]) for line in lines] == [
        (1, "register", "Änne"),
        (2, "create", "Änne"),
    ]
    assert lines[1]["previous"] == lines[0]["hash"]


@pytest.mark.parametrize(
    ("since", "number"),
    [("2020-01-31", 1), ("2020-01-31T12:00", 1), ("2020-01-31T12:00+02:00", 1), ("2999-01-01", 0)],
)
def test_export_since_a_day_or_a_time(since: str, number: int) -> None:
    make_entries("register")
    assert len(audit("export", "--since", since)) == number


@pytest.mark.parametrize("since", ["yesterday", "2026-02-31", "2026-13-01T00:00"])
def test_export_since_something_else_is_refused_with_an_example(since: str) -> None:
    with pytest.raises(CommandError, match="2026-01-31T12:00"):
        audit("export", "--since", since)
