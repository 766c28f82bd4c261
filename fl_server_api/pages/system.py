"""The figures of the machine and of what works on it."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.template.defaultfilters import filesizeformat

from fl_server_api.monitoring.readiness import watcher

LITTLE = 0.1
"""The part of a disk below which its free space is called little."""


@dataclass(frozen=True)
class Figure:
    """tone: "bad", "busy" or "". word: says the same as the tone's colour, for those who can't tell colours apart."""

    title: str
    value: str
    note: str = ""
    url: str = ""
    tone: str = ""
    word: str = ""


def disk() -> Figure:
    """The free space on the disk of the data folder."""
    usage = shutil.disk_usage(_existing(Path(settings.FL_DATA_DIR)))
    is_little = usage.free < LITTLE * usage.total
    note = f"free of {filesizeformat(usage.total)}, for the database and uploads"
    return Figure("Disk", filesizeformat(usage.free), note, tone="bad" if is_little else "", word="little" * is_little)


def _existing(path: Path) -> Path:
    return next(one for one in (path, *path.parents) if one.exists())


def workers() -> Figure:
    if settings.FL_EMBEDDED:
        return Figure("Workers", str(settings.FL_EMBEDDED_WORKER_THREADS), "threads in the server's own process")
    return Figure("Workers", "Celery", "in processes of their own, reached through Redis")


def sandbox() -> Figure:
    note = (
        f"at most {settings.FL_SANDBOX_MEMORY_MB} MB and {settings.FL_SANDBOX_TIMEOUT_SECONDS:g} s for each inference"
    )
    return Figure("Sandbox", f"{settings.FL_SANDBOX_PROCESSES} per web process", note)


def parts() -> Figure:
    """What /readyz says."""
    readiness = watcher().readiness()
    if all(part.is_ok for part in readiness.parts):
        return Figure("Parts", "all work", "database, storage, broker, workers, sandbox")
    sentences = " ".join(part.sentence for part in readiness.parts if part.is_ok is False)
    return Figure("Parts", ", ".join(readiness.failing), sentences, tone="bad", word="failing")


def system_figures() -> Iterable[Figure]:
    """Parts, disk, workers and sandbox: the System page shows them all."""
    return (parts(), disk(), workers(), sandbox())
