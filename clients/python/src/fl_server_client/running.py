"""Runs a participant: signs in, receives notifications by push or pull, and works until it is told to stop."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from .inbox import Agenda
from .participant import Participant
from .participant_client import ParticipantClient
from .receiving import Listener, Poller
from .retrying import FIRST_PAUSES, PAUSES
from .session import Session
from .signatures import Verifier

logger = logging.getLogger(__name__)
EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104  to recognise them


@dataclass(frozen=True)
class Listening:
    """Where a participant listens for notifications (push).

    endpoint: the URL at which the server reaches it, if that is not http://host:port/; required if host is 0.0.0.0 or
    ::, all interfaces. port: 0 takes a free one.
    """

    host: str = "127.0.0.1"
    port: int = 0
    endpoint: str = ""


@dataclass(frozen=True)
class Account:
    """Who takes part. A token, or a name and a password; a name that is free is registered.

    invitation: the code with which to register, where the server asks for one. trust: the ids of actors in whose
    trainings this account takes part unasked, or "everyone".
    """

    username: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    invitation: str = field(default="", repr=False)
    trust: Sequence[str] | str = ()


def run(
    participant: Participant,
    server: str,
    *,
    username: str = "",
    password: str = "",
    token: str = "",
    listen: Listening | None = None,
    direct: bool = False,
    on_ready: Callable[[dict[str, Any]], None] = lambda _user: None,
    **about: Any,
) -> None:
    """Take part until SIGTERM or Ctrl-C.

    Args:
        server: its address, such as https://fl.example.org.
        username, password, token: as of `Account`, like `about`.
        listen: where to listen (push); None: fetch notifications from the server (pull), which needs no open port.
        direct: fetch models from the server's bucket, as `Client` does.
        on_ready: called with the user once it is signed in.

    Raises:
        Refused, Unreachable: the server can't be used.
        ValueError: neither a token nor a name with a password is given; it is impossible to listen there; or it
            listens on all interfaces and doesn't say at which URL the server reaches it.
    """
    account = Account(username, password, token, **about)
    running = Running(participant, server, account, listen, direct=direct)
    with until_told(running.stop):
        running.work(on_ready)


class Running:
    """A participant that runs. `work` blocks; `stop` ends it from another thread or a signal's handler."""

    def __init__(
        self,
        participant: Participant,
        server: str,
        account: Account,
        listen: Listening | None = None,
        *,
        direct: bool = False,
    ) -> None:
        if not account.token and not (account.username and account.password):
            raise ValueError("Give a token, or a username and a password.")
        if listen and listen.host in EVERYWHERE and not listen.endpoint:
            raise ValueError(
                f"You listen on {listen.host}: name the endpoint, the URL at which the server reaches you."
            )
        self._participant, self._account, self._listen = participant, account, listen
        self._agenda = Agenda()
        self._client = ParticipantClient(server, token=account.token, pauses=FIRST_PAUSES, direct=direct)

    def stop(self) -> None:
        """End `work`: the round's part that is under way ends first."""
        self._agenda.close()
        self._client.give_up()

    def work(self, on_ready: Callable[[dict[str, Any]], None] = lambda _user: None) -> None:
        """Sign in, and take part until `stop`. Raises as `run`."""
        with ExitStack() as stack:
            stack.callback(self._client.close)
            verifier = Verifier(self._client.notification_secrets)
            listener = _listener(self._agenda, self._listen, verifier) if self._listen else None
            if listener:
                stack.callback(listener.close)
            endpoint = (self._listen.endpoint or listener.url()) if self._listen and listener else ""
            user = self._sign_in(endpoint)
            if self._account.trust:
                self._client.trust(self._account.trust)
            if listener:
                verifier.load()
            self._client.pauses = PAUSES
            session = Session(self._client, self._participant)
            if not listener:
                stack.callback(Poller(self._client, self._agenda.put).close)
            on_ready(user)
            session.answer_waiting()
            session.catch_up(str(user["id"]), self._agenda)
            session.work(self._agenda)

    def _sign_in(self, endpoint: str) -> dict[str, Any]:
        account = self._account
        if account.token:
            user = self._client.myself()
            logger.info("Signed in as %s", user["username"])
        else:
            about = {"invitation": account.invitation} if account.invitation else {}
            user = self._client.sign_in(
                account.username, account.password, message_endpoint=endpoint, client=True, **about
            )
        current = str(user["message_endpoint"])
        if endpoint and current != endpoint:
            self._client.move_to(endpoint)  # an account from an earlier start names the address of that time
        elif current and not endpoint:
            # Leave it alone: another program may listen there.
            logger.warning("this account also has a message endpoint, to which the server sends: %s", current)
        return user


def _listener(agenda: Agenda, listen: Listening, verifier: Verifier) -> Listener:
    try:
        return Listener(agenda.put, host=listen.host, port=listen.port, verifier=verifier)
    except OSError as error:
        reason = error.strerror or error
        raise ValueError(f"Can't listen at {listen.host}, port {listen.port}: {reason}.") from error


@contextmanager
def until_told(stop: Callable[[], None]) -> Iterator[None]:
    """SIGTERM and Ctrl-C stop it, and say so; a second one interrupts its work. Signals reach only the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def told(number: int, _frame: Any) -> None:
        signal.signal(number, signal.default_int_handler)
        by_hand = number == signal.SIGINT
        again = "Ctrl-C" if by_hand else "SIGTERM"
        # A warning is seen without any logging set up.
        level = logging.WARNING if by_hand else logging.INFO
        logger.log(level, "Ending after the work under way; %s again ends at once.", again)
        stop()

    before = {number: signal.signal(number, told) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
