from __future__ import annotations

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

from rest_framework.exceptions import NotAcceptable, ValidationError
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request


class DownloadNegotiation(DefaultContentNegotiation):
    """For downloads, which are served whatever Accept says; their errors are JSON unless a browser asks.

    `?format=` is a download's own: the format of the file.
    """

    settings = SimpleNamespace(URL_FORMAT_OVERRIDE=None)  # type: ignore[assignment]  # all of it that is read

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[Any, Any]:
        known = list(renderers)
        try:
            renderer, media_type = super().select_renderer(request, known, format_suffix)
        except NotAcceptable:
            return known[0], known[0].media_type
        return renderer, media_type


class FormatNegotiation(DefaultContentNegotiation):
    """For answers in several formats: `format` chooses, else Accept. An unknown format is a 400 that names them."""

    def filter_renderers(self, renderers: Any, format: str) -> Any:  # noqa: A002  the library's name
        known = [renderer for renderer in renderers if renderer.format == format]
        if not known:
            formats = ", ".join(renderer.format for renderer in renderers)
            raise ValidationError({"format": [f"Choose one of these formats: {formats}."]})
        return known
