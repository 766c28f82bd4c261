"""Chains the trail's entries by hashes, behind those who write them: no request waits for another.

An entry is sealed once it is committed. Its position says in which order that was seen: ids may have gaps, and those of
a long transaction come late.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from fl_server_core.models.audit import ONLY, AuditChain, AuditEntry, AuditPending, AuditSeal

BATCH = 500
FIELDS = [field.attname for field in AuditEntry._meta.concrete_fields]


def seal_trail() -> int:
    """Seal what is committed and not sealed yet. Returns how many. May run twice: one of the two does it."""
    sealed = 0
    while number := _seal_batch():
        sealed += number
    return sealed


def _seal_batch() -> int:
    chain, _ = AuditChain.objects.get_or_create(number=ONLY)
    entries = list(_waiting()[:BATCH])
    position, last, now, seals = chain.position, chain.hash, timezone.now(), []
    for entry in entries:
        position += 1
        last = hash_of(link(position, last, entry))
        seals.append(AuditSeal(position=position, entry_id=entry.pk, hash=last, sealed_at=now))
    if not seals:
        return 0
    with transaction.atomic():
        unchanged = AuditChain.objects.filter(number=ONLY, position=chain.position, hash=chain.hash)
        if not unchanged.update(position=position, hash=last):
            return 0  # another process was faster, and goes on
        AuditSeal.objects.bulk_create(seals)
        AuditPending.objects.filter(entry_id__in=[entry.pk for entry in entries]).delete()
    return len(seals)


def _waiting() -> Any:
    """The entries to seal, in the order of their ids.

    Of entries that were removed, or put in the place of sealed ones, the mark stays: `verify_trail` finds it.
    """
    sealed = AuditSeal.objects.filter(entry_id=OuterRef("entry_id"))
    marks = AuditPending.objects.filter(~Exists(sealed)).values("entry_id")
    return AuditEntry.objects.filter(pk__in=marks).order_by("pk")


def link(position: int, previous: str, entry: AuditEntry) -> dict[str, Any]:
    """What is hashed: a line of the export, without the hash itself."""
    values = {name: _plain(getattr(entry, name)) for name in FIELDS}
    return {"position": position, "previous": previous, "entry": values}


def hash_of(values: Mapping[str, Any]) -> str:
    """SHA-256 of the values as JSON: keys sorted, no spaces, UTF-8."""
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return sha256(text.encode()).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    return str(value) if isinstance(value, UUID) else value
