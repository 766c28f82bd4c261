"""Reads the trail along its chain: what an export shows, and whether anything was changed, removed or put in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Exists, OuterRef

from fl_server_core.models.audit import ONLY, AuditChain, AuditEntry, AuditPending, AuditSeal
from fl_server_core.services.trail_sealing import hash_of, link

BATCH = 500


@dataclass(frozen=True)
class Verdict:
    """What `verify_trail` found.

    problem: a sentence about the first bad entry; empty if all is well. first, position, hash: of the entries that were
    looked at, the first position, the last one that is good, and its hash. waiting: entries that are not sealed yet.
    """

    problem: str
    first: int
    position: int
    hash: str
    waiting: int


class Broken(Exception):
    """The chain is not what it was: the sentence says where."""


def verify_trail(*, expected: str | None = None) -> Verdict:
    """Compute the chain anew from all entries that are kept.

    expected: a hash that an earlier call gave, or an export, and that was kept elsewhere: it must be in the chain.
    """
    while True:
        chain = _chain()
        verdict = _verify(chain, expected)
        if not verdict.problem or _chain().purged_position == chain.purged_position:
            return verdict  # else what was missing has just been purged: look again


def export_trail(*, since: datetime | None = None) -> Iterator[dict[str, Any]]:
    """The sealed entries with their hashes, in the order of the chain; those sealed at that time or later."""
    chain = _chain()
    after = chain.purged_position
    if since is not None:
        late = AuditSeal.objects.filter(sealed_at__gte=since).order_by("position")
        after = late.values_list("position", flat=True).first() or chain.position + 1
        after -= 1
    for seal, entry, previous in _links(after, chain.position):
        if entry is not None:
            yield {**link(seal.position, previous, entry), "hash": seal.hash}


def _chain() -> AuditChain:
    return AuditChain.objects.filter(number=ONLY).first() or AuditChain()


def _verify(chain: AuditChain, expected: str | None) -> Verdict:
    position, last, is_met = chain.purged_position, chain.purged_hash, expected in (None, chain.purged_hash)
    problem = ""
    try:
        for seal, entry, _previous in _links(chain.purged_position, chain.position):
            last = _checked(seal, entry, position + 1, last)
            position = seal.position
            is_met = is_met or last == expected
        _check_end(chain, position, last)
        _check_rest()
        if not is_met:
            raise Broken(
                f"The expected hash is not in the chain, which begins after position {chain.purged_position}: the "
                "chain was written anew, or the hash is of an entry that has been purged."
            )
    except Broken as error:
        problem = str(error)
    waiting = AuditPending.objects.count()
    return Verdict(problem, chain.purged_position + 1, position, last, waiting)


def _checked(seal: AuditSeal, entry: AuditEntry | None, position: int, previous: str) -> str:
    if seal.position != position:
        raise Broken(f"The seal at position {position} is missing: it was removed.")
    if entry is None:
        raise Broken(f"Entry {seal.entry_id}, at position {position}, is missing: it was removed.")
    computed = hash_of(link(position, previous, entry))
    if computed != seal.hash:
        raise Broken(f"Entry {seal.entry_id}, at position {position}, is not what was sealed: it was changed.")
    return computed


def _check_end(chain: AuditChain, position: int, last: str) -> None:
    if position != chain.position:
        raise Broken(f"The chain ends at position {chain.position}, but position {position + 1} is missing.")
    if last != chain.hash:
        raise Broken(f"The chain ends with another hash than the entry at position {position}.")
    beyond = AuditSeal.objects.filter(position__gt=chain.position).order_by("position").first()
    if beyond is not None and beyond.position > _chain().position:
        raise Broken(f"There is a seal at position {beyond.position}, beyond the chain's end: it was put in.")


def _check_rest() -> None:
    """Entries outside of the chain must wait to be sealed, and what waits must be there. One statement each: what is
    sealed meanwhile is seen before or after."""
    seals = AuditSeal.objects.filter(entry_id=OuterRef("pk"))
    marks = AuditPending.objects.filter(entry_id=OuterRef("pk"))
    stray = AuditEntry.objects.filter(~Exists(seals), ~Exists(marks)).order_by("pk").first()
    if stray is not None:
        raise Broken(f"Entry {stray.pk} is not part of the chain, nor does it wait to be: it was put in.")
    entries = AuditEntry.objects.filter(pk=OuterRef("pk"))
    lost = AuditPending.objects.filter(~Exists(entries)).order_by("pk").first()
    if lost is not None:
        raise Broken(f"Entry {lost.pk} was removed before it was sealed.")


def _links(after: int, last: int) -> Iterator[tuple[AuditSeal, AuditEntry | None, str]]:
    """The seals between two positions, each with its entry, if there is one, and the hash before it."""
    chain = _chain()
    before = AuditSeal.objects.filter(position=after).values_list("hash", flat=True).first()
    previous = chain.purged_hash if before is None else before
    while True:
        seals = list(AuditSeal.objects.filter(position__gt=after, position__lte=last).order_by("position")[:BATCH])
        if not seals:
            return
        entries = AuditEntry.objects.in_bulk([seal.entry_id for seal in seals])
        for seal in seals:
            yield seal, entries.get(seal.entry_id), previous
            previous = seal.hash
        after = seals[-1].position
