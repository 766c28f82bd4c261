"""How much of a request's body is taken in, by what is known of who sends it."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from fl_server.front.credentials import may_be_known
from fl_server_api.body_limits import ANONYMOUS_BYTES, largest_body, size_in_words

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


class TooLarge(Exception):
    """The body is larger than its sender may send. The text is for the client."""


class Admission:
    """Of one request. is_known: are its credentials good? None: nobody has looked."""

    def __init__(self, environ: WSGIEnvironment, declared: int) -> None:
        """declared: the size of the body by the header, in bytes."""
        self.is_known: bool | None = None
        self._environ = environ
        self._declared = declared

    def admits(self, arrived: int) -> bool:
        """May the body be so large? False: somebody has to look at the credentials first. Raises TooLarge."""
        size = max(arrived, self._declared)
        if size <= ANONYMOUS_BYTES:
            return True
        if self.is_known is not False and size > self._largest:
            raise TooLarge(f"The request is larger than {size_in_words(self._largest)}.")
        if self.is_known is None and may_be_known(self._environ):
            return False
        if not self.is_known:
            most = size_in_words(ANONYMOUS_BYTES)
            raise TooLarge(f"The request is larger than {most}, the most without valid credentials.")
        return True

    @cached_property
    def _largest(self) -> int:
        return largest_body(self._environ["PATH_INFO"])
