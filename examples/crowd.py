"""Many small participants in one process, for experiments: one listener, a few threads that train."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Sequence

import httpx
from fl_server_client import Agenda, Listener, Notification, ParticipantClient, Session
from fl_server_client.http import LIMITS

from examples.training import Classifier


class Crowd:
    """Registers one participant per learner. They work until `close`."""

    def __init__(self, server: str, learners: Sequence[Classifier], *, threads: int = 2) -> None:
        self._agendas = [Agenda() for _ in range(threads)]
        self._listener = Listener(self._sort)
        # One connection pool for all. Hundreds of separate pools would consist mostly of idle sockets.
        self._transport = httpx.HTTPTransport(limits=LIMITS)
        self._participants: list[Session] = []
        self.ids: list[str] = []
        for number, learner in enumerate(learners):
            client = ParticipantClient(server, transport=self._transport)
            endpoint = self._listener.url(str(number))
            user = client.sign_in(f"participant-{number}", secrets.token_urlsafe(16), message_endpoint=endpoint)
            self.ids.append(str(user["id"]))
            self._participants.append(Session(client, learner))
        self._threads = [threading.Thread(target=self._work, args=(agenda,)) for agenda in self._agendas]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Stop listening and working."""
        self._listener.close()
        for agenda in self._agendas:
            agenda.close()
        for thread in self._threads:
            thread.join()
        self._transport.close()

    def _sort(self, notification: Notification) -> None:
        """Give the notification to its participant's thread: one each, so that it does one thing at a time."""
        self._agendas[int(notification.receiver) % len(self._agendas)].put(notification)

    def _work(self, agenda: Agenda) -> None:
        while (notification := agenda.get()) is not None:
            self._participants[int(notification.receiver)].handle(notification)
