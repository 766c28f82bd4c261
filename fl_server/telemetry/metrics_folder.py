"""Where several web processes share what they count."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fl_server_api.monitoring.paths import FOLDER_VARIABLE


@contextmanager
def shared_figures(*, processes: int) -> Iterator[None]:
    """Make a folder for the figures of these processes. Enter it before prometheus_client is imported.

    One process needs none. A folder that the operator's own variable names is left as it is.
    """
    if processes == 1 or os.environ.get(FOLDER_VARIABLE):
        yield
        return
    folder = tempfile.mkdtemp(prefix="fl-server-figures-")
    os.environ[FOLDER_VARIABLE] = folder
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def forget_process(arbiter: Any, worker: Any) -> None:
    """Gunicorn's `child_exit`: forget what an ended process had in flight. Its counters stay."""
    del arbiter
    if os.environ.get(FOLDER_VARIABLE):
        from prometheus_client.multiprocess import mark_process_dead  # decides at its import where figures are

        mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]
