"""How large the body of a request may be, by who sends it and where to."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any, TypeVar

from django.conf import settings
from django.urls import Resolver404, resolve

KILOBYTE = 1024
MEGABYTE = 1024 * 1024
ANONYMOUS_BYTES = 64 * KILOBYTE
"""Without credentials: enough to register and to sign in."""
PLAIN_BYTES = 2 * MEGABYTE


class BodyKind(Enum):
    """What a view's bodies hold, which says how large they may be."""

    PLAIN = "a few fields"
    INPUT = "an input to a model"
    FILES = "files"


View = TypeVar("View", bound=Callable[..., Any])


def takes(kind: BodyKind) -> Callable[[View], View]:
    """A decorator for a view that is a function: what its bodies hold. A class has `body_kind`."""

    def mark(view: View) -> View:
        view.body_kind = kind  # type: ignore[attr-defined]
        return view

    return mark


def largest_body(path: str) -> int:
    """Bytes that a signed-in user may send to this path, with or without its final slash."""
    return largest_of_view(_view(path if path.endswith("/") else f"{path}/"))


def largest_of_view(view: Any) -> int:
    """The same for a view, or its class."""
    match getattr(view, "body_kind", BodyKind.PLAIN):
        case BodyKind.FILES:
            return int(settings.FL_MAX_UPLOAD_MB) * MEGABYTE
        case BodyKind.INPUT:
            return int(settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
        case _:
            return PLAIN_BYTES


def size_in_words(size: int) -> str:
    """64 KB, 2 MB."""
    return f"{size // MEGABYTE} MB" if size >= MEGABYTE else f"{size // KILOBYTE} KB"


def _view(path: str) -> Any:
    try:
        view = resolve(path).func
    except Resolver404:
        return None
    return getattr(view, "view_class", view)
