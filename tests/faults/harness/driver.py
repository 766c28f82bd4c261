"""Faults of all kinds, one after the other, as a seed has it."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from tests.faults.harness.cluster import WEBS, WORKERS, Cluster
from tests.faults.harness.counting import injected
from tests.faults.harness.laptop import Laptop
from tests.faults.harness.proxy import Fault, Times, cut, lose_answer, silence, twice, twice_at_once
from tests.faults.harness.queue import Repeater
from tests.faults.harness.run import Run

# By the end of the longest fault of a row everybody must still have attempts left.
MOST_CUTS = 3
MOST_REPEATS = 10
Injection = Callable[[], None]


class Driver:
    """Injects faults into a run until it is over or there have been enough; then everything is whole again."""

    def __init__(self, run: Run, seed: int) -> None:
        self.run = run
        self.random = random.Random(seed)
        self.told: list[str] = []

    def drive(self, most: int, pauses: tuple[float, float]) -> None:
        """Inject at most so many faults, with random pauses (seconds, from and to) in between."""
        injections = self.injections()
        for name in self._kinds(sorted(injections), most):
            self.run.actor.attendance.finished.wait(self.random.uniform(*pauses))
            if not self.run.is_running:
                break
            self.told.append(f"{name} in round {self.run.round}")
            injections[name]()
        self.run.site.heal()

    def _kinds(self, names: Sequence[str], number: int) -> list[str]:
        """So many kinds of faults at random, none of them again before all have had their turn."""
        chosen: list[str] = []
        while len(chosen) < number:
            chosen += self.random.sample(names, len(names))
        return chosen[:number]

    def injections(self) -> dict[str, Injection]:
        """The faults, by name. These are the ones that every server knows: those on the way."""
        return {
            "cut": lambda: self._on_the_way(cut, MOST_CUTS),
            "lost answers": lambda: self._on_the_way(lose_answer, MOST_CUTS),
            "silence": lambda: self._in_the_way_of(["inbox"], silence, 1),
            "twice": lambda: self._on_the_way(twice, MOST_REPEATS),
            "twice at once": lambda: self._on_the_way(twice_at_once, MOST_REPEATS),
        }

    def _on_the_way(self, fault: Fault, most: int) -> None:
        self._in_the_way_of(["inbox", "outbox"], fault, most)

    def _in_the_way_of(self, directions: Sequence[str], fault: Fault, most: int) -> None:
        person = self.random.choice(self.run.people)
        way = person.inbox if self.random.choice(directions) == "inbox" else person.outbox
        way.fault = Times(fault, self.random.randint(1, most))


class ClusterDriver(Driver):
    """Kills processes of every kind as well."""

    def __init__(self, run: Run, cluster: Cluster, seed: int) -> None:
        super().__init__(run, seed)
        self.cluster = cluster
        self.repeater = Repeater(cluster, run.id)

    def injections(self) -> dict[str, Injection]:
        return super().injections() | {
            "worker killed": lambda: self._kill(*self.random.sample(WORKERS, self.random.randint(1, 2))),
            "worker killed while closing": self._kill_while_closing,
            "web process killed": lambda: self._kill(self.random.choice(WEBS)),
            "beat killed": lambda: self._kill("beat"),
            "Redis killed": lambda: self._kill("redis"),
            "PostgreSQL restarted": self._restart_postgres,
            "tasks repeated": self.repeater.send,
        }

    def _kill(self, *names: str) -> None:
        for name in names:
            self.cluster[name].kill()
            injected(f"{name} killed")
        self.run.actor.attendance.finished.wait(self.random.uniform(0, 1))
        for name in names:
            self.cluster[name].start(wait=False)

    def _kill_while_closing(self) -> None:
        """Of a training that may end, or stand still, before a worker comes to close a round."""
        self.cluster.heal()
        with self.cluster.held_closing() as wait_for_holder:
            try:
                name = wait_for_holder().name
            except AssertionError:
                return
            self._kill(name)

    def _restart_postgres(self) -> None:
        self.cluster.restart_postgres()
        injected("PostgreSQL restarted")


class LaptopDriver(Driver):
    """Kills the one process as well."""

    def __init__(self, run: Run, laptop: Laptop, seed: int) -> None:
        super().__init__(run, seed)
        self.laptop = laptop

    def injections(self) -> dict[str, Injection]:
        return super().injections() | {"server killed": self._kill, "server killed while closing": self._kill_claimant}

    def _kill(self) -> None:
        self.laptop.server.kill()
        injected("embedded server killed")
        self.laptop.server.start()

    def _kill_claimant(self) -> None:
        """As soon as a round is seen claimed, or after a while."""
        for _ in range(1000):
            if self.laptop.ledger.is_claimed(self.run.id):
                break
            self.run.actor.attendance.finished.wait(0.002)
        self._kill()
