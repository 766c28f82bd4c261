"""One connection: its requests one after the other, each from its first byte to the last one of its answer."""

from __future__ import annotations

import asyncio
import logging
import math
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, cast

import h11

from fl_server.front.answer import Answer, refusal
from fl_server.front.body import Body
from fl_server.front.credentials import Known, may_be_known
from fl_server.front.environ import Address, declared_length, make_environ
from fl_server.front.noting import RequestLine
from fl_server.front.pace import Pace
from fl_server.front.parsing import StrictConnection, reason_of
from fl_server.front.sending import send
from fl_server.front.threads import Threads
from fl_server_api.body_limits import ANONYMOUS_BYTES, largest_body, size_in_words
from fl_server_api.middleware import NO_FILES, RETRY_SECONDS, bug
from fl_server_api.request_log import HEADER, note_of
from fl_server_api.trail import note_refusal
from fl_server_core.exceptions import TooManyFailures

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

logger = logging.getLogger(__name__)
WRITE_BUFFER_BYTES = 256 * 1024


class State(Enum):
    HEADER = auto()
    BODY = auto()
    AWAY = auto()  # a thread looks at credentials, or writes a part of the body
    RUNNING = auto()
    SENDING = auto()
    LINGERING = auto()  # refused; what still arrives is thrown away


class Connection(asyncio.Protocol):
    """Lives in the loop's thread alone."""

    transport: asyncio.Transport
    address: Address
    _server: Address
    _environ: WSGIEnvironment
    _body: Body
    _largest: int
    _length: int | None

    def __init__(self, threads: Threads) -> None:
        self._threads = threads
        self._http = StrictConnection()
        self._state = State.HEADER
        self._is_known: bool | None = None  # None: nobody has looked
        self._writable = asyncio.Event()
        self._writable.set()
        self._sending: asyncio.Task[None] | None = None
        self._is_paused = False
        self._has_ended = False
        self._line: RequestLine | None = None  # of the request under way

    # --- What asyncio calls ------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        self.address = _address(transport.get_extra_info("peername"))
        self._server = _address(transport.get_extra_info("sockname"))
        self.pace = Pace(self.transport, self._threads.limits)
        self._threads.opened(self)

    def data_received(self, data: bytes) -> None:
        self.pace.received += len(data)
        if self._state is State.LINGERING or self.transport.is_closing():
            return
        if self._state is State.HEADER:
            self.pace.begin_header()
        self._http.receive_data(data)
        if self._state in (State.HEADER, State.BODY):
            self._advance()
        else:  # a next request, while this one is under way: it has to wait in the socket
            self._pause()

    def eof_received(self) -> bool:
        """True keeps the connection open: who has asked may close its side, and still get the answer."""
        self._has_ended = True
        return self._state in (State.AWAY, State.RUNNING, State.SENDING)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._writable.set()
        if self._sending is not None:
            self._sending.cancel()
        if self._state is State.BODY:
            self._threads.discard(self._body)
        if self._state is not State.RUNNING:  # otherwise its line waits for what Django finds out
            self._end_line(is_aborted=True)
        self._threads.closed(self)

    # --- What its server asks ----------------------------------------------------------------------------------------

    def is_overdue(self, now: float) -> bool:
        """Has the client taken longer than it may?"""
        match self._state:
            case State.LINGERING:
                return self.pace.is_past(now, self._threads.limits.linger)
            case _ if self._state is State.BODY or self.pace.unsent():
                return self.pace.is_slow(now)
            case State.HEADER:
                return self.pace.is_header_late(now)
            case _:
                return False

    def cut(self) -> None:
        """Close it now. What the client has not taken goes with it: the kernel would hold it for minutes."""
        if self._state is not State.LINGERING and self.pace.unsent():
            self.pace.forget_unsent()
        self.transport.abort()

    @property
    def log_ids(self) -> dict[str, str]:
        """The ids that lines about the present request carry."""
        return {} if self._line is None else {"request_id": self._line.request_id}

    @property
    def quiet_since(self) -> float:
        """When the client last took a part of the answer; infinity if no answer is being sent."""
        return self.pace.moved_at if self._state is State.SENDING else math.inf

    async def wait_for_writing(self) -> None:
        """To be awaited before more is written."""
        await self._writable.wait()

    # --- Receiving ---------------------------------------------------------------------------------------------------

    def _advance(self) -> None:
        """Take in what has arrived, as far as it goes."""
        while self._state in (State.HEADER, State.BODY) and not self.transport.is_closing():
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError as error:
                self._refuse(error.error_status_hint, f"The request can't be understood: {reason_of(error)}.")
                return
            if isinstance(event, h11.Request):
                self._begin(event)
            elif isinstance(event, h11.Data):
                self._take(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                self._state = State.RUNNING
                self._threads.note_waiting(self, is_waiting=False)
                self._threads.run(self._environ, self._body, self._answer)
            else:
                return

    def _begin(self, request: h11.Request) -> None:
        try:
            self._environ = make_environ(request, self.address, self._server)
        except ValueError as error:
            self._refuse(400, f"The request can't be understood: {error}.")
            return
        self._length = declared_length(request)
        self._body = Body()
        self._line = RequestLine.begin(self._environ, self._body, self.pace)
        self._is_known = None
        self._state = State.BODY
        self.pace.begin()
        if self._is_within(self._length or 0):
            self._go_on()

    def _take(self, data: bytes) -> None:
        self._body.add(data)
        if self._is_within(self._body.size) and self._body.is_block:
            self._leave()
            self._threads.store(self._body, self._stored)

    def _is_within(self, size: int) -> bool:
        """May the body be as large as that? If not, it has been refused, or a thread looks at the credentials first."""
        if size <= ANONYMOUS_BYTES:
            return True
        path = self._environ["PATH_INFO"]
        if self._is_known is None:
            self._largest = largest_body(path)
            if size > self._largest:
                self._refuse(413, f"The request is larger than {size_in_words(self._largest)}.")
                return False
            if may_be_known(self._environ):
                self._leave()
                self._threads.check(self._environ, self._checked)
                return False
        if not self._is_known:
            most = size_in_words(ANONYMOUS_BYTES)
            self._refuse(413, f"The request is larger than {most}, the most without valid credentials.")
        elif size > self._largest:
            self._refuse(413, f"The request is larger than {size_in_words(self._largest)}.")
        else:
            return True
        return False

    def _checked(self, is_known: Known) -> None:
        if not self._come_back():
            return
        if isinstance(is_known, TooManyFailures):
            self._refuse(429, str(is_known), is_known.retry_after)
            return
        self._is_known = is_known
        if self._is_within(max(self._body.size, self._length or 0)):
            if is_known:
                self._threads.note_waiting(self, is_waiting=False)
            self._go_on()
            self._advance()

    def _stored(self, is_stored: bool) -> None:
        if not self._come_back():
            return
        if is_stored:
            self._advance()
        else:
            self._refuse(503, NO_FILES, RETRY_SECONDS)

    def _go_on(self) -> None:
        if self._http.they_are_waiting_for_100_continue:
            self._write(self._http.send(h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue")))

    def _leave(self) -> None:
        """To a thread; nothing is taken in meanwhile."""
        self._state = State.AWAY
        self._pause()

    def _come_back(self) -> bool:
        """False: the client has gone meanwhile."""
        if self.transport.is_closing():
            self._threads.discard(self._body)
            return False
        self._state = State.BODY
        self.pace.begin()
        self._resume()
        return True

    def _pause(self) -> None:
        if not self._is_paused:
            self._is_paused = True
            self.transport.pause_reading()

    def _resume(self) -> None:
        if self._is_paused:
            self._is_paused = False
            self.transport.resume_reading()

    # --- Answering ---------------------------------------------------------------------------------------------------

    def _answer(self, answer: Answer) -> None:
        if self.transport.is_closing():
            self._end_line(is_aborted=True)
            self._threads.discard(answer)
            return
        self._state = State.SENDING
        self.pace.begin()
        try:
            self._begin_answer(answer)
        except (h11.LocalProtocolError, ValueError):  # what the application says of it can't be true
            logger.exception("%s: the answer can't be sent", self._environ["PATH_INFO"], extra=self.log_ids)
            self._threads.discard(answer)
            if self._http.our_state is h11.SEND_RESPONSE:
                sentence = bug(note_of(self._environ).request_id)
                self._begin_answer(refusal(500, sentence, self._environ["PATH_INFO"]))
            else:
                self.transport.abort()

    def _begin_answer(self, answer: Answer) -> None:
        line = cast(RequestLine, self._line)
        head = self._http.send(_response(answer, line.request_id, self._threads.is_stopping))
        line.answering(answer.status, head)
        if self._environ["REQUEST_METHOD"] == "HEAD" or answer.status in (204, 304):
            self._threads.discard(answer)
            answer = Answer(answer.status, answer.reason, [], b"")
        if isinstance(answer.content, bytes) and len(answer.content) <= WRITE_BUFFER_BYTES // 4:
            body = self._http.send(h11.Data(data=answer.content)) if answer.content else b""
            self._write(head, body, self._http.send(h11.EndOfMessage()))
            self.answered()
        else:
            self._write(head)
            self._sending = asyncio.ensure_future(send(self, self._http, self._threads, answer))

    def answered(self) -> None:
        """The whole answer is on its way: on to the next request, if there may be one."""
        self._sending = None
        self._end_line()
        states = {self._http.our_state, self._http.their_state}
        if states != {h11.DONE} or self._has_ended or self._threads.is_stopping:
            self.transport.close()
            return
        self._http.start_next_cycle()
        self._state = State.HEADER
        self.pace.begin_idle(is_first=False)
        self._threads.note_waiting(self, is_waiting=True)
        if self._http.trailing_data[0]:
            self.pace.begin_header()
        self._resume()
        self._advance()

    def _refuse(self, status: int, sentence: str, retry_after: int | None = None) -> None:
        """Answer before the request has arrived, and throw away what still comes: it has to go somewhere."""
        path = self._environ["PATH_INFO"] if self._state in (State.BODY, State.AWAY) else "/api/"
        if self._state in (State.BODY, State.AWAY):
            note_refusal(self._environ, status)
            self._threads.discard(self._body)
        answer = refusal(status, sentence, path, retry_after)
        self._line = self._line or RequestLine.unread(self.address, self.pace)
        head = self._http.send(_response(answer, self._line.request_id, is_last=True))
        self._line.answering(status, head)
        self._write(head, b"" if self._is_head() else self._http.send(h11.Data(data=cast(bytes, answer.content))))
        self._end_line()
        self._state = State.LINGERING
        self.pace.begin()
        self._threads.note_waiting(self, is_waiting=True)
        self._resume()
        self.transport.write_eof()

    def _is_head(self) -> bool:
        return self._state in (State.BODY, State.AWAY) and self._environ["REQUEST_METHOD"] == "HEAD"

    def _end_line(self, *, is_aborted: bool = False) -> None:
        if self._line is not None:
            self._line.end(is_aborted=is_aborted)
            self._line = None

    def _write(self, *parts: bytes | None) -> None:
        data = b"".join(part for part in parts if part)
        self.pace.written += len(data)
        self.transport.write(data)

    def write(self, data: Any) -> None:
        """Bytes, or a view of them."""
        self.pace.written += len(data)
        self.transport.write(data)


def _response(answer: Answer, request_id: str, is_last: bool) -> h11.Response:
    said = {name for name, _ in answer.headers}
    headers = [("Connection", "close")] if is_last and "Connection" not in said else []
    if HEADER not in said:  # Django's answers have it
        headers.append((HEADER, request_id))
    return h11.Response(
        status_code=answer.status,
        reason=answer.reason.encode("latin-1"),
        headers=[
            (name.encode("ascii"), value.strip().encode("latin-1")) for name, value in [*answer.headers, *headers]
        ],
    )


def _address(name: Any) -> Address:
    return (str(name[0]), int(name[1])) if isinstance(name, tuple) else ("", 0)
