"""Removes the oldest part of the trail, and remembers the hash that the rest begins with."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from fl_server_core.append_only import purging
from fl_server_core.models.audit import ONLY, AuditChain, AuditEntry, AuditSeal, Credential

BATCH = 1000


def purge_trail(*, older_than: timedelta) -> int:
    """Delete the entries that were sealed longer ago than that. Returns how many. The trail says so itself."""
    young = AuditSeal.objects.filter(sealed_at__gte=timezone.now() - older_than)
    first_kept = young.order_by("position").values_list("position", flat=True).first()
    deleted = 0
    while number := _purge_batch(first_kept):
        deleted += number
    if deleted:
        last = AuditChain.objects.values_list("purged_position", flat=True).get(number=ONLY)
        details = {"entries": deleted, "up_to": last}
        AuditEntry.objects.create(credential=Credential.SERVER, verb="purge", object_kind="trail", details=details)
    return deleted


def _purge_batch(first_kept: int | None) -> int:
    seals = AuditSeal.objects.order_by("position")
    old = list((seals if first_kept is None else seals.filter(position__lt=first_kept))[:BATCH])
    if not old:
        return 0
    last = old[-1]
    with purging():
        # First: who purges at the same time waits here, and then finds nothing to do.
        chain = AuditChain.objects.filter(number=ONLY, purged_position=old[0].position - 1)
        if not chain.update(purged_position=last.position, purged_hash=last.hash):
            return 0
        AuditEntry.objects.filter(pk__in=[seal.entry_id for seal in old]).delete()
        AuditSeal.objects.filter(position__lte=last.position).delete()
    return len(old)
