"""What the admin's pages tell the trail: an entry for each row that they change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db.models import Model

from fl_server_api.deeds import kind_of_row
from fl_server_core.models import AuditEntry, Outcome, Training
from fl_server_core.trail import current_act, people_of, short

MOST_ENTRIES = 200
"""Of one request. What is done to more rows at once has one more entry, with their number."""


def note_deed(verb: str, model: type[Model], rows: Sequence[tuple[object, str]], *, is_refused: bool = False) -> None:
    """Something was done, or refused, to rows: their keys and names."""
    act = current_act()
    if act is None or not rows:
        return
    kind = kind_of_row(model._meta.model_name or "")
    people = people_of(act.facts.get("accounts", []))
    for key, name in rows[:MOST_ENTRIES]:
        outcome = Outcome.REFUSED if is_refused or str(key) in act.refused else Outcome.DONE
        entry = AuditEntry(verb=verb[:32], object_kind=kind, object_id=short(key, 64), object_name=short(name, 200))
        entry.outcome, entry.details = outcome, people
        entry.training_id = _as_uuid(key) if model is Training else act.facts.get("training_id")
        act.entries.append(entry)
    if len(rows) > MOST_ENTRIES:
        rest = {"verb": verb[:32], "object_kind": kind, "count": len(rows) - MOST_ENTRIES}
        act.entries.append(AuditEntry(**rest, outcome=Outcome.REFUSED if is_refused else Outcome.DONE))


def note_refused(arguments: Mapping[str, Any], key: object) -> None:
    """A service that was called with these arguments refused: of several rows, it was not done to this one."""
    act = current_act()
    if act is not None:
        ids = [value for name, value in arguments.items() if name.endswith("_id")] if key is None else [key]
        act.refused.update(map(str, ids))


def _as_uuid(key: object) -> UUID | None:
    try:
        return key if isinstance(key, UUID) else UUID(str(key))
    except ValueError:
        return None
