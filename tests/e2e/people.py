"""An actor and participants at a server: they listen, remember what they hear, and work as the examples do."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any
from uuid import UUID

import httpx
from fl_server_client import Actor, Agenda, Listener, Notification, ParticipantClient
from fl_server_client.http import LIMITS

from tests.builders.waiting import wait_until
from tests.e2e.sites import Site

Worker = Callable[[Notification], None]
PATIENCE = 120.0
ACTOR = "actor"


class People:
    """An actor, and `number` participants who do with a notification what `worker(client, number)` returns.

    heard: every notification, in the order of arrival, repeats included; its receiver is the participant's number, or
    "actor".
    """

    def __init__(
        self,
        site: Site,
        number: int,
        worker: Callable[[ParticipantClient, int], Worker],
        *,
        threads: int = 3,
        port: int = 0,
    ) -> None:
        self.heard: list[Notification] = []
        self._site = site
        self._agendas = [Agenda() for _ in range(threads)]
        self._listener = Listener(self._hear, port=port)
        endpoints = [self._listener.url(name) for name in (ACTOR, *map(str, range(number)))]
        actor, *participants = site.make_users(endpoints)
        # One pool of connections for all: hundreds of pools of their own would be mostly idle sockets.
        self._transport = httpx.HTTPTransport(limits=LIMITS)
        self.actor = Actor(site.url, token=actor.token)
        self.ids = [account.id for account in participants]
        self._workers = [
            worker(ParticipantClient(site.url, token=account.token, transport=self._transport), index)
            for index, account in enumerate(participants)
        ]
        self._threads = [threading.Thread(target=self._work, args=(agenda,), daemon=True) for agenda in self._agendas]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> People:
        return self

    def __exit__(self, *_: object) -> None:
        for agenda in self._agendas:
            agenda.close()
        for thread in self._threads:
            thread.join(PATIENCE)
        self._listener.close()
        self._transport.close()
        self.actor.close()

    @property
    def receivers(self) -> list[str]:
        """Everyone's name as a receiver of notifications."""
        return [ACTOR, *(str(number) for number in range(len(self.ids)))]

    def heard_of(self, training: str, kind: str) -> list[str]:
        """Who heard this of a training, sorted; one who heard it twice is named twice."""
        return sorted(note.receiver for note in list(self.heard) if (note.training, note.type) == (training, kind))

    def wait_for_end(self, training: str, seconds: float = PATIENCE) -> dict[str, Any]:
        """The training, once it is over and nothing of it waits to be sent; AssertionError if that takes too long."""
        wait_until(f"training {training} to end", lambda: self.is_over(training), seconds)
        wait_until("the last notifications", lambda: not self._pending(training), seconds)
        return self.actor.training(training)

    def is_over(self, training: str) -> bool:
        """Has it ended, well or not?"""
        return self.actor.training(training)["state"] in "CE"

    def history(self, training: str) -> list[dict[str, Any]]:
        """What happened to a training, oldest first."""
        return list(self.actor.call("GET", f"/trainings/{training}/history/").json())

    def count(self, training: str, kind: str) -> list[int]:
        """The rounds in which something of this kind happened."""
        return [event["round"] for event in self.history(training) if event["kind"] == kind]

    def _pending(self, training: str) -> int:
        query = "SELECT count(*) FROM fl_server_core_delivery WHERE training_uuid = %s AND status = 'pending'"
        [(number,)] = self._site.ledger.database.rows(query, UUID(training))
        return int(number)

    def _hear(self, notification: Notification) -> None:
        self.heard.append(notification)
        if notification.receiver != ACTOR:
            self._agendas[int(notification.receiver) % len(self._agendas)].put(notification)

    def _work(self, agenda: Agenda) -> None:
        while (notification := agenda.get()) is not None:
            self._workers[int(notification.receiver)](notification)
