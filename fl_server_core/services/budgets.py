"""What an account may own. Counted at the end of the transaction that adds to it, with the account's row locked."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import IO
from uuid import UUID

from django.conf import settings
from django.core.files.base import File
from django.core.files.storage import default_storage

from fl_server_core.exceptions import BudgetSpent, LargerThanBudget
from fl_server_core.models.metric import Metric
from fl_server_core.models.stored_file import StoredFile
from fl_server_core.models.user import User
from fl_server_core.selectors.budgets import owned_by
from fl_server_core.storage import storage_errors

KILOBYTE = 1024
MEGABYTE = 1024 * KILOBYTE
BATCH = 500
MAKE_ROOM = "Delete {things} that you no longer need, or ask the server's staff for more."
METRICS_GO = "You can delete those that you reported of a model (DELETE /api/models/<id>/metrics/)."
ROUND_WAITS = (
    " If a round waits for this upload, send it again once there is room; the training's actor can also go on without"
    " you."
)


def refuse_larger_than_budget(*files: IO[bytes] | File[bytes] | None) -> None:
    """Files that could never be kept are refused before they are.

    Raises:
        LargerThanBudget: one of them alone is larger than what an account may store.
    """
    limit = settings.FL_MAX_STORAGE_MB
    for file in files:
        size = getattr(file, "size", None) or 0
        if limit and size > limit * MEGABYTE:
            raise LargerThanBudget(
                f"The file has {_in_words(size)}, which is more than an account may store on this server: {limit} MB "
                "(FL_MAX_STORAGE_MB). Send a smaller file, or ask the server's staff for more."
            )


def require_budget(
    *,
    account: User,
    added: Collection[str],
    sizes: Mapping[str, int] | None = None,
    loose: int = 0,
    others: Collection[UUID] = (),
) -> None:
    """Refuse what this transaction has added, if the account now owns more than it may of it.

    Call it when everything is written. The account's row stays locked until the transaction ends: of two requests at
    once, the second counts what the first has added. After the training and its model, in the order of locks.

    added: of "models", "trainings" and "bytes" those that have become more.
    sizes: of the files just stored, in bytes. loose: bytes just written into the database.
    others: accounts that the caller locks, too; they are locked in one
    statement, in one order.

    Raises:
        BudgetSpent: which budget, how much of it is used, and what to do.
    """
    rows = User.objects.select_for_update(no_key=True).filter(pk__in={account.pk, *others})
    list(rows.order_by("pk").values_list("pk", flat=True))
    owned = owned_by(account)
    if "trainings" in added:
        _refuse_more(owned.trainings, settings.FL_MAX_TRAININGS, "trainings", "FL_MAX_TRAININGS")
    if "models" in added:
        _refuse_more(owned.models, settings.FL_MAX_MODELS, "models", "FL_MAX_MODELS")
    if "bytes" in added and settings.FL_MAX_STORAGE_MB:
        new = sum((sizes or {}).values()) + loose
        _refuse_bytes(_bytes_of(owned.files, sizes or {}) + owned.loose_bytes, new, owned.loose_bytes)


def refuse_more_metrics(reporter: User, number: int) -> None:
    """Refuse so many metrics more, if the account would have reported more than it may.

    Counted without a lock: two reports at once may both take the last room. Each is small.

    Raises:
        BudgetSpent: how many there are, and what to do.
    """
    limit = settings.FL_MAX_METRICS
    if not limit:
        return
    present = Metric.objects.filter(reporter=reporter).count()
    if present + number > limit:
        raise BudgetSpent(
            f"You have reported {present} metrics, and an account may report {limit} on this server (FL_MAX_METRICS). "
            + METRICS_GO
        )


def _refuse_more(number: int, limit: int, things: str, setting: str) -> None:
    if limit and number > limit:
        raise BudgetSpent(
            f"You have {number - 1} {things}, and an account may have {limit} on this server ({setting}). "
            + MAKE_ROOM.format(things=things)
        )


def _refuse_bytes(used: int, added: int, of_metrics: int) -> None:
    limit = settings.FL_MAX_STORAGE_MB
    if used > limit * MEGABYTE:
        free = max(0, limit * MEGABYTE - (used - added))
        metrics = f" {_in_words(of_metrics)} are values of metrics. {METRICS_GO}" if of_metrics else ""
        raise BudgetSpent(
            f"Your storage is full: of {limit} MB (FL_MAX_STORAGE_MB), {_in_words(free)} are free, and this needs "
            f"{_in_words(added)}. " + MAKE_ROOM.format(things="models, updates or trainings") + metrics + ROUND_WAITS
        )


def _in_words(size: int) -> str:
    """10 bytes, 1.5 KB, 2.0 MB: never 0 for what is not nothing."""
    if size < KILOBYTE:
        return f"{size} bytes"
    return f"{size / KILOBYTE:.1f} KB" if size < MEGABYTE else f"{size / MEGABYTE:.1f} MB"


def _bytes_of(names: Iterable[str], sizes: Mapping[str, int]) -> int:
    """The sum of the files' sizes; those that are not known yet are measured and written down."""
    wanted = set(names)
    known: dict[str, int] = {}
    ordered = sorted(wanted)
    for start in range(0, len(ordered), BATCH):
        some = ordered[start : start + BATCH]
        known.update(StoredFile.objects.filter(name__in=some).values_list("name", "size"))
    measured = {name: sizes[name] if name in sizes else _measured(name) for name in wanted - known.keys()}
    found: dict[str, int] = {name: size for name, size in measured.items() if size is not None}
    StoredFile.objects.bulk_create(
        [StoredFile(name=name, size=size) for name, size in sorted(found.items())], ignore_conflicts=True
    )
    return sum(known.values()) + sum(found.values())


def _measured(name: str) -> int | None:
    """Bytes in the storage; None: the file is missing."""
    try:
        with storage_errors():
            return int(default_storage.size(name))
    except FileNotFoundError:
        return None
