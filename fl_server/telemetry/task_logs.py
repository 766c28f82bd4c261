"""Which request a task works for: its id goes with the task's message, so that a worker's lines name it."""

from __future__ import annotations

from typing import Any

from celery.signals import before_task_publish, task_postrun, task_prerun
from structlog.contextvars import bind_contextvars, clear_contextvars, get_contextvars

from fl_server_core.log_context import bind_ids, bound_id

HEADER = "fl_request_id"
_BEFORE = "fl_ids_before"


@before_task_publish.connect
def _send_request_id(headers: dict[str, Any] | None = None, **_: object) -> None:
    request_id = bound_id("request_id")
    if headers is not None and request_id:
        headers[HEADER] = request_id


@task_prerun.connect
def _bind(task_id: str, task: Any, **_: object) -> None:
    """Clear first: a thread runs one task after another, and no id may leak from one into the next."""
    setattr(task.request, _BEFORE, get_contextvars())  # a task may be called within a request
    clear_contextvars()
    bind_ids(request_id=task.request.get(HEADER), task=str(task.name).rpartition(".")[2], task_id=task_id)


@task_postrun.connect
def _unbind(task: Any, **_: object) -> None:
    clear_contextvars()
    bind_contextvars(**getattr(task.request, _BEFORE, {}))
