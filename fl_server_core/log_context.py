"""The ids that lines of the log carry: of the request, the task, the training, the round and the delivery under way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from structlog.contextvars import bind_contextvars, clear_contextvars, get_contextvars

IDS = ("request_id", "user_id", "task", "task_id", "training_id", "round", "delivery_id")
"""All of them, in the order in which a line shows them."""


@contextmanager
def log_scope(**ids: object) -> Iterator[None]:
    """What is logged in this block, by this thread, carries these ids and those bound in it, and no others.

    For the edges: a request, a task. A thread that serves one after the other takes nothing from one into the next.
    """
    before = get_contextvars()
    clear_contextvars()
    bind_ids(**ids)
    try:
        yield
    finally:
        clear_contextvars()
        bind_contextvars(**before)


@contextmanager
def bound_ids(**ids: object) -> Iterator[None]:
    """What is logged in this block, by this thread, carries these ids too."""
    with log_scope(**{**get_contextvars(), **ids}):
        yield


def bind_ids(**ids: object) -> None:
    """Lines carry these ids until the end of the block of `log_scope` or `bound_ids`. None and "" are ignored."""
    bind_contextvars(**{name: value if isinstance(value, int) else str(value) for name, value in _known(ids).items()})


def bound_id(name: str) -> str:
    """One of the ids that are bound now; "" if it is not."""
    return str(get_contextvars().get(name, ""))


def bound_ids_now() -> dict[str, object]:
    """All ids that are bound now."""
    return dict(get_contextvars())


def reason_of(error: BaseException) -> str:
    """An error's class and its first line, for a line of the log without a traceback."""
    return f"{type(error).__name__}: {error}".partition("\n")[0]


def _known(ids: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in ids.items() if value is not None and value != ""}
