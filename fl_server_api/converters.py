"""Ids as they come in paths and bodies."""

from __future__ import annotations

from uuid import UUID


class GivenId(UUID):
    """An id that somebody sent, with or without dashes. Malformed text makes the nil UUID, which no row has.

    text: what was sent, for the sentence that says that it was not found. `str` is the UUID's own, since database
    drivers put it into statements.
    """

    __slots__ = ("text",)
    text: str

    def __init__(self, text: str) -> None:
        try:
            super().__init__(text)
        except ValueError:
            super().__init__(int=0)
        object.__setattr__(self, "text", text)


class IdConverter:
    """The `<id:…>` of a path: any text, so that a malformed id is told in the same words as an unknown one."""

    regex = "[^/]+"

    def to_python(self, value: str) -> GivenId:
        return GivenId(value)

    def to_url(self, value: UUID) -> str:
        return str(value)
