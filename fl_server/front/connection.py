"""One connection: its requests one after the other, each from its first byte to the last one of its answer."""

from __future__ import annotations

import asyncio
import logging
import math
from enum import Enum, auto
from typing import TYPE_CHECKING, cast

import h11

from fl_server.front.admission import Admission, TooLarge
from fl_server.front.answer import Answer, refusal
from fl_server.front.body import Body
from fl_server.front.credentials import Known
from fl_server.front.environ import Address, address_of, declared_length, make_environ
from fl_server.front.noting import RequestLine
from fl_server.front.parsing import StrictConnection, reason_of
from fl_server.front.sending import head_of, send
from fl_server.front.stream import WRITE_BUFFER_BYTES, Stream
from fl_server.front.threads import Threads
from fl_server_api.middleware import NO_FILES, RETRY_SECONDS, bug
from fl_server_api.request_log import note_of
from fl_server_api.trail import note_refusal
from fl_server_core.exceptions import TooManyFailures

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

logger = logging.getLogger(__name__)


class State(Enum):
    """What a connection does."""

    HEADER = auto()  # the next request has not arrived, or only a part of its header
    BODY = auto()
    AWAY = auto()  # a thread looks at credentials, or writes a part of the body
    RUNNING = auto()
    SENDING = auto()
    LINGERING = auto()  # refused; what still arrives is thrown away


class Connection(asyncio.Protocol):
    """Lives in the loop's thread alone."""

    stream: Stream
    address: Address
    _server: Address
    _environ: WSGIEnvironment
    _body: Body
    _admission: Admission

    def __init__(self, threads: Threads) -> None:
        self._threads = threads
        self._http = StrictConnection()
        self._state = State.HEADER
        self._sending: asyncio.Task[None] | None = None
        self._has_ended = False
        self._line: RequestLine | None = None  # of the request under way

    # --- What asyncio calls ------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.stream = Stream(cast(asyncio.Transport, transport), self._threads.limits)
        self._pace = self.stream.pace
        self.address = address_of(transport.get_extra_info("peername"))
        self._server = address_of(transport.get_extra_info("sockname"))
        self._threads.opened(self)

    def data_received(self, data: bytes) -> None:
        self._pace.received += len(data)
        if self._state is State.LINGERING or self.stream.is_closing:
            return
        if self._state is State.HEADER:
            self._pace.begin_header()
        self._http.receive_data(data)
        if self._state in (State.HEADER, State.BODY):
            self._advance()
        else:  # a next request, while this one is under way: it has to wait in the socket
            self.stream.pause()

    def eof_received(self) -> bool:
        """True keeps the connection open: who has asked may close its side, and still get the answer."""
        self._has_ended = True
        return self._state in (State.AWAY, State.RUNNING, State.SENDING)

    def pause_writing(self) -> None:
        self.stream.note_writable(False)

    def resume_writing(self) -> None:
        self.stream.note_writable(True)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.stream.note_writable(True)
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
                return self._pace.is_past(now, self._threads.limits.linger)
            case _ if self._state is State.BODY or self._pace.unsent():
                return self._pace.is_slow(now)
            case State.HEADER:
                return self._pace.is_header_late(now)
            case _:
                return False

    def cut(self) -> None:
        """Close it now. What the client has not taken goes with it: the kernel would hold it for minutes."""
        if self._state is not State.LINGERING and self._pace.unsent():
            self._pace.forget_unsent()
        self.stream.abort()

    @property
    def log_ids(self) -> dict[str, str]:
        """The ids that lines about the present request carry."""
        return {} if self._line is None else {"request_id": self._line.request_id}

    @property
    def quiet_since(self) -> float:
        """When the client last took a part of the answer; infinity if no answer is being sent."""
        return self._pace.moved_at if self._state is State.SENDING else math.inf

    # --- Receiving ---------------------------------------------------------------------------------------------------

    def _advance(self) -> None:
        """Take in what has arrived, as far as it goes."""
        while self._state in (State.HEADER, State.BODY) and not self.stream.is_closing:
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
        self._body = Body()
        self._line = RequestLine.begin(self._environ, self._body, self._pace)
        self._admission = Admission(self._environ, declared_length(request))
        self._state = State.BODY
        self._pace.begin()
        if self._is_within():
            self._go_on()

    def _take(self, data: bytes) -> None:
        self._body.add(data)
        if self._is_within() and self._body.is_block:
            self._leave()
            self._threads.store(self._body, self._stored)

    def _is_within(self) -> bool:
        """May the body be so large? If not, it has been refused, or a thread looks at the credentials first."""
        try:
            is_within = self._admission.admits(self._body.size)
        except TooLarge as refused:
            self._refuse(413, str(refused))
            return False
        if not is_within:
            self._leave()
            self._threads.check(self._environ, self._checked)
        return is_within

    def _checked(self, is_known: Known) -> None:
        if not self._come_back():
            return
        if isinstance(is_known, TooManyFailures):
            self._refuse(429, str(is_known), is_known.retry_after)
            return
        self._admission.is_known = is_known
        if self._is_within():
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
            go_on = h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue")
            self.stream.write_together(self._http.send(go_on))

    def _leave(self) -> None:
        """To a thread; nothing is taken in meanwhile."""
        self._state = State.AWAY
        self.stream.pause()

    def _come_back(self) -> bool:
        """False: the client has gone meanwhile."""
        if self.stream.is_closing:
            self._threads.discard(self._body)
            return False
        self._state = State.BODY
        self._pace.begin()
        self.stream.resume()
        return True

    # --- Answering ---------------------------------------------------------------------------------------------------

    def _answer(self, answer: Answer) -> None:
        if self.stream.is_closing:
            self._end_line(is_aborted=True)
            self._threads.discard(answer)
            return
        self._state = State.SENDING
        self._pace.begin()
        try:
            self._begin_answer(answer)
        except (h11.LocalProtocolError, ValueError):  # what the application says of it can't be true
            logger.exception("%s: the answer can't be sent", self._environ["PATH_INFO"], extra=self.log_ids)
            self._threads.discard(answer)
            if self._http.our_state is h11.SEND_RESPONSE:
                self._begin_answer(refusal(500, bug(note_of(self._environ).request_id), self._environ["PATH_INFO"]))
            else:
                self.stream.abort()

    def _begin_answer(self, answer: Answer) -> None:
        line = cast(RequestLine, self._line)
        head = self._http.send(head_of(answer, line.request_id, is_last=self._threads.is_stopping))
        line.answering(answer.status, head)
        if self._environ["REQUEST_METHOD"] == "HEAD" or answer.status in (204, 304):
            self._threads.discard(answer)
            answer = Answer(answer.status, answer.reason, [], b"")
        if isinstance(answer.content, bytes) and len(answer.content) <= WRITE_BUFFER_BYTES // 4:
            body = self._http.send(h11.Data(data=answer.content)) if answer.content else b""
            self.stream.write_together(head, body, self._http.send(h11.EndOfMessage()))
            self.answered()
        else:
            self.stream.write_together(head)
            self._sending = asyncio.ensure_future(send(self, self._http, self._threads, answer))

    def answered(self) -> None:
        """The whole answer is on its way: on to the next request, if there may be one."""
        self._sending = None
        self._end_line()
        states = {self._http.our_state, self._http.their_state}
        if states != {h11.DONE} or self._has_ended or self._threads.is_stopping:
            self.stream.close()
            return
        self._http.start_next_cycle()
        self._state = State.HEADER
        self._pace.begin_idle(is_first=False)
        self._threads.note_waiting(self, is_waiting=True)
        if self._http.trailing_data[0]:
            self._pace.begin_header()
        self.stream.resume()
        self._advance()

    def _refuse(self, status: int, sentence: str, retry_after: int | None = None) -> None:
        """Answer before the request has arrived, and throw away what still comes: it has to go somewhere."""
        has_header = self._state in (State.BODY, State.AWAY)
        if has_header:
            note_refusal(self._environ, status)
            self._threads.discard(self._body)
        path = self._environ["PATH_INFO"] if has_header else "/api/"
        answer = refusal(status, sentence, path, retry_after)
        self._line = self._line or RequestLine.unread(self.address, self._pace)
        head = self._http.send(head_of(answer, self._line.request_id, is_last=True))
        self._line.answering(status, head)
        is_head = has_header and self._environ["REQUEST_METHOD"] == "HEAD"
        self.stream.write_together(
            head, None if is_head else self._http.send(h11.Data(data=cast(bytes, answer.content)))
        )
        self._end_line()
        self._state = State.LINGERING
        self._pace.begin()
        self._threads.note_waiting(self, is_waiting=True)
        self.stream.resume()
        self.stream.end()

    def _end_line(self, *, is_aborted: bool = False) -> None:
        if self._line is not None:
            self._line.end(is_aborted=is_aborted)
            self._line = None
