"""The log line of each request of a connection, written once its response was sent or can't be sent any more."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from fl_server.front.body import Body
from fl_server.front.environ import Address
from fl_server.front.pace import Pace
from fl_server_api.monitoring.paths import is_probe
from fl_server_api.request_log import CLIENT_LEFT, RequestNote, new_id, note_of, route_of, write_line

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


class RequestLine:
    """The line of one request. It is written once."""

    def __init__(self, environ: WSGIEnvironment, note: RequestNote, body: Body, pace: Pace) -> None:
        self._environ = environ
        self._note = note
        self._body = body
        self._pace = pace
        self._status = CLIENT_LEFT
        self._sent_before = pace.written

    @classmethod
    def begin(cls, environ: WSGIEnvironment, body: Body, pace: Pace) -> RequestLine:
        """The line of a request whose header has arrived."""
        return cls(environ, note_of(environ, is_served=True), body, pace)

    @classmethod
    def unread(cls, client: Address, pace: Pace) -> RequestLine:
        """The line of bytes that can't be parsed as a request."""
        return cls({"REMOTE_ADDR": client[0]}, RequestNote(new_id(), is_served=True), Body(), pace)

    @property
    def request_id(self) -> str:
        return self._note.request_id

    def answering(self, status: int, head: bytes | None) -> None:
        """The head of the response is about to be written; what follows is its body."""
        self._status = status
        self._sent_before = self._pace.written + len(head or b"")

    def end(self, *, is_aborted: bool = False) -> None:
        """is_aborted: the client has gone, or was sent away, before it had the whole answer.

        A probe that is answered well has no line: programs ask every few seconds, and nobody would look.
        """
        if is_probe(self._environ.get("PATH_INFO", "")) and self._status < HTTPStatus.BAD_REQUEST:
            return
        if self._note.route is None:  # Django has not seen it
            self._note.route = route_of(self._environ.get("PATH_INFO", ""))
        write_line(
            self._environ,
            self._note,
            self._status,
            bytes_in=self._body.size,
            bytes_out=max(0, self._pace.written - self._sent_before),
            is_aborted=is_aborted,
        )
