"""Follows a running training: rounds, updates received, accuracy and time. Needs rich."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from .actor import Actor
from .errors import MissingPackage, Refused, TrainingFailed
from .model_format import ModelFormat, TorchFormat

try:
    from rich.console import Console, Group
    from rich.live import Live
    from rich.progress_bar import ProgressBar
    from rich.table import Table
except ModuleNotFoundError as error:
    raise MissingPackage("rich", "cli") from error

SHOWN = 15
"""How many rounds the table shows while the training runs."""
SECONDS_PER_LINE = 10.0
"""How often to print a line while a round runs, if the output isn't a terminal. The end of a round always has one."""
SECONDS_PER_STATUS = 1.0
"""How often to ask who is awaited."""
NAMES = 5
"""How many of those who are awaited are named."""


@dataclass
class Round:
    """Figures of one round. Accuracies are those of the model that the round produced; `reported` is a mean."""

    number: int
    updates: int = 0
    reported: float | None = None
    reports: int = 0
    held_out: float | None = None
    seconds: float = 0.0


class Follower:
    """Polls a training until it ends."""

    def __init__(
        self,
        actor: Actor,
        training_id: str,
        *,
        evaluate: Callable[[Any], float] | None = None,
        models: ModelFormat | None = None,
        first: int | None = None,
        averaging_period: int = 1,
        check: Callable[[], None] = lambda: None,
        poll: float = 0.2,
    ) -> None:
        """
        Args:
            evaluate: the accuracy of a model; None: download no models.
            models: the format of the models that `evaluate` takes; None: modules of torch.
            first: the model's round when the training began, if that isn't now.
            averaging_period: after how many rounds the global model changes (more than one with FedDC).
            check: raises an exception if waiting longer is useless.
            poll: seconds between two requests.
        """
        self._actor, self._training_id = actor, training_id
        self._evaluate, self._models = evaluate, models or TorchFormat()
        self._period, self._check, self._poll = averaging_period, check, poll
        training = actor.training(training_id)
        self._model_id = str(training["model"])
        current = actor.round_of(training_id, self._model_id)
        self._first = current if first is None else first
        self._expected = len(training["participants"])
        self.target = int(training["target_num_updates"])
        self.rounds = [Round(current + 1)]
        self._note = self._awaited = ""
        self._started = time.monotonic()
        self._asked_at = self._read_at = self._started

    def follow(self, console: Console, title: str, *, timeout: float) -> list[Round]:
        """Show the training until it is completed; return its rounds.

        Raises:
            TrainingFailed: the training is in state E, or the timeout (in seconds) has passed.
        """
        with self._shown(console, title) as show:
            self._watch(show, timeout)
        return self.rounds

    def report(self, tell: Callable[[Round], None], *, timeout: float) -> list[Round]:
        """As `follow`, but call `tell` with each round that has finished instead of showing them."""
        told = 0

        def show() -> None:
            nonlocal told
            finished = self.rounds[told:-2]  # what the newest average measures at the participants is still to come
            for row in finished:
                tell(row)
            told += len(finished)

        self._watch(show, timeout)
        for row in self.rounds[told:]:
            tell(row)
        return self.rounds

    def _watch(self, show: Callable[[], None], timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while not self._look():
            if time.monotonic() > deadline:
                raise TrainingFailed(f"not completed after {timeout:.0f} s. {self._reason()}")
            show()
            self._check()
            time.sleep(self._poll)

    def table(self, title: str, last: int = SHOWN) -> Table:
        """The last rounds as a table."""
        table = Table(title=title, caption=self._note or None)
        for heading in ("round", "updates", "accuracy at the participants", "on held-out data", "seconds"):
            table.add_column(heading, justify="right")
        for row in self._shown_rounds()[-last:]:
            table.add_row(*self._cells(row))
        return table

    def _live(self, title: str) -> Group:
        """The table, and how much of the training is done: updates count as parts of their round."""
        current = self.rounds[-1]
        done = current.number - 1 - self._first + current.updates / (self._expected + 1)
        return Group(self.table(title), ProgressBar(total=self.target, completed=min(done, self.target), width=60))

    def _shown_rounds(self) -> list[Round]:
        """All rounds except the one after the last, which covers the time until the state is completed."""
        return [row for row in self.rounds if row.number <= self._first + self.target]

    def _cells(self, row: Round) -> tuple[str, ...]:
        return (
            f"{row.number - self._first}/{self.target}",
            f"{row.updates}/{self._expected}",
            _figure(row.reported),
            _figure(row.held_out),
            f"{row.seconds:.1f}",
        )

    def _look(self) -> bool:
        """Poll the server once; return whether the training is completed."""
        training = self._actor.training(self._training_id)
        number = self._actor.round_of(self._training_id, self._model_id)
        current = self.rounds[-1]
        current.seconds = time.monotonic() - self._started
        if number >= current.number:
            self._close_rounds(number)
        elif self._awaits_reports() and time.monotonic() - self._read_at >= SECONDS_PER_STATUS:
            self._read_reports()
        if number < current.number and training["state"] == "O":
            current.updates = max(current.updates, training["local_models_arrived"])
        # A SWAG round follows the round that has just been closed, and the next round isn't open yet.
        done = self.rounds[-1].number - 1 - self._first
        swag = f"SWAG round after round {done}/{self.target}" if training["state"] == "S" else ""
        self._note = ", ".join(part for part in (swag, self._waits_for()) if part)
        if training["state"] == "E":
            raise TrainingFailed(f"the training is in state E. {self._reason()}")
        if training["state"] == "C":
            self._note = ""  # who was awaited a moment ago isn't any more
            self.rounds = [row for row in self.rounds if row.number <= number]
            self._read_reports()
        return bool(training["state"] == "C")

    def _waits_for(self) -> str:
        """Who is awaited, by name, as it was a moment ago."""
        if time.monotonic() - self._asked_at >= SECONDS_PER_STATUS:
            self._asked_at = time.monotonic()
            status = self._actor.call("GET", f"/trainings/{self._training_id}/status/").json()
            names = [person["username"] for person in status.get("participants", []) if person["awaited"]]
            more = [f"{len(names) - NAMES} more"] if len(names) > NAMES else []
            self._awaited = f"waiting for {', '.join([*names[:NAMES], *more])}" if names else ""
        return self._awaited

    def _close_rounds(self, number: int) -> None:
        """Mark all rounds up to `number` as done."""
        self.rounds[-1].updates = self._expected
        for missed in range(self.rounds[-1].number + 1, number + 1):
            self.rounds.append(Round(missed, updates=self._expected))
        self._evaluate_average(number)
        self._read_reports()
        self.rounds.append(Round(number + 1))
        self._started = time.monotonic()

    def _evaluate_average(self, number: int) -> None:
        """Evaluate the newest average, once."""
        averaged = self._last_average(number)
        row = next((row for row in self.rounds if row.number == averaged), None)
        if self._evaluate is None or row is None or row.held_out is not None:
            return
        module = self._models.load(self._actor.download(self._model_id, form=self._models.form))
        # The file is this average only if no other was made in the meantime.
        if self._last_average(self._actor.round_of(self._training_id, self._model_id)) == averaged:
            row.held_out = self._evaluate(module)

    def _last_average(self, number: int) -> int:
        return self._first + (number - self._first) // self._period * self._period

    def _read_reports(self) -> None:
        """Read the participants' test results. Each participant has the same weight."""
        self._read_at = time.monotonic()
        reports = self._actor.metrics(self._model_id, "accuracy")
        for row in self.rounds:
            if row.number in reports:
                row.reported, row.reports = fmean(reports[row.number].values()), len(reports[row.number])

    def _awaits_reports(self) -> bool:
        """Is the mean of the round that was closed a moment ago one of a part of the participants?"""
        closed = self.rounds[-2:-1]
        missing = bool(closed) and closed[0].reports < self._expected
        return missing and time.monotonic() - self._started < SECONDS_PER_LINE

    def _reason(self) -> str:
        """The training's status, which says why it isn't going on."""
        try:
            status: Any = self._actor.call("GET", f"/trainings/{self._training_id}/status/").text
        except Refused:
            return ""
        return f"Status: {status}"

    @contextmanager
    def _shown(self, console: Console, title: str) -> Iterator[Callable[[], None]]:
        """A live table on a terminal; otherwise a line for each round and now and then, and the table at the end."""
        if console.is_terminal:
            with Live(self._live(title), console=console, auto_refresh=False) as live:
                yield lambda: live.update(self._live(title), refresh=True)
                live.update(self.table(title, last=max(SHOWN, 20)), refresh=True)
            return
        lines = _Lines(console, title)

        def finished() -> list[tuple[str, ...]]:
            told = -2 if self._awaits_reports() else -1  # a mean of the first who have tested would mislead
            return [self._cells(row) for row in self.rounds[:told]]

        def write() -> None:
            lines.add(finished())
            if current := self._shown_rounds()[-1:]:
                lines.remind(self._cells(current[0]), self._note)

        yield write
        lines.add([self._cells(row) for row in self._shown_rounds()])
        console.print(self.table(title, last=20))


class _Lines:
    """What is printed where no table can be drawn anew."""

    def __init__(self, console: Console, title: str) -> None:
        self._console, self._title = console, title
        self._printed, self._written = 0, time.monotonic()

    def add(self, finished: Sequence[tuple[str, ...]]) -> None:
        """A line for each round that has finished since the last time."""
        for number, updates, reported, held_out, seconds in finished[self._printed :]:
            parts = [f"round {number}: {updates} updates in {seconds} s"]
            parts += [f"accuracy at the participants {reported}"] if reported else []
            parts += [f"on held-out data {held_out}"] if held_out else []
            self._print(", ".join(parts))
        self._printed = len(finished)

    def remind(self, current: tuple[str, ...], note: str) -> None:
        """A line about the round that runs, if there was none for a while."""
        if time.monotonic() - self._written > SECONDS_PER_LINE:
            self._print(", ".join(part for part in (f"round {current[0]}", f"updates {current[1]}", note) if part))

    def _print(self, sentence: str) -> None:
        self._written = time.monotonic()
        self._console.print(f"{self._title}: {sentence}", highlight=False, soft_wrap=True)


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
