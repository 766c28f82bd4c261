"""Follows a running training: rounds, updates received, metrics and time. Needs rich."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import httpx

from .actor import Actor
from .errors import MissingPackage, Refused, TrainingFailed, Unreachable
from .model_format import ModelFormat, TorchFormat

try:
    from rich.console import Console, Group
    from rich.live import Live
    from rich.markup import escape
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    from .followed import SECONDS_PER_LINE, Lines, Round, age_of_round, figure, shown_metrics
except ModuleNotFoundError as error:
    raise MissingPackage("rich", "cli") from error

__all__ = ["Follower", "Round"]
SHOWN = 15
"""How many rounds the table shows while the training runs."""
SECONDS_FOR_REPORTS = SECONDS_PER_LINE
"""How long a closed round waits for the metrics of all participants."""
SECONDS_PER_STATUS = 1.0
"""How often to ask who is awaited."""
SECONDS_PER_TRY = 2.0
"""How often to try a server that can't be reached."""
NAMES = 5
"""How many of those who are awaited are named."""


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
        metrics: Sequence[str] = (),
        outage: Callable[[], None] | None = None,
    ) -> None:
        """
        Args:
            evaluate: the accuracy of a model; None: download no models.
            models: the format of the models that `evaluate` takes; None: modules of torch.
            first: the model's round when the training began, if that isn't now.
            averaging_period: after how many rounds the global model changes (more than one with FedDC).
            check: raises an exception if waiting longer is useless.
            poll: seconds between two requests.
            metrics: which to show; none: accuracy and loss, if they are reported, and others, three at most.
            outage: called once when the server can't be reached; the next answer ends the outage. None: raise
                Unreachable.
        """
        self._actor, self._training_id = actor, training_id
        self._evaluate, self._models = evaluate, models or TorchFormat()
        self._period, self._check, self._poll = averaging_period, check, poll
        self._metrics, self._outage = metrics, outage
        training = actor.training(training_id)
        self._model_id = str(training["model"])
        current = actor.round_of(training_id, self._model_id)
        self._first = current if first is None else first
        self._expected = len(training["participants"])
        self.target = int(training["target_num_updates"])
        self.rounds = [Round(current + 1)]
        self._note = self._awaited = ""
        self._closed = 0
        self._asked_at = self._read_at = time.monotonic()
        self._started = self._asked_at - age_of_round(self._status())

    def follow(self, console: Console, title: str, *, timeout: float) -> list[Round]:
        """Show the training until it is completed; return its rounds.

        Raises:
            TrainingFailed: the training is in state E, or the timeout (in seconds) has passed.
            Unreachable: there is no `outage`, or the timeout has passed in one.
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
        while not self._look_through(deadline):
            if time.monotonic() > deadline:
                raise TrainingFailed(f"not completed after {timeout:.0f} s. {self._reason()}")
            show()
            self._check()
            time.sleep(self._poll)

    def _look_through(self, deadline: float) -> bool:
        """Look once; in an outage, until the server answers."""
        is_told = False
        while True:
            try:
                return self._look()
            except Unreachable:
                if self._outage is None or time.monotonic() > deadline:
                    raise
                if not is_told:
                    self._outage()
                is_told = True
                time.sleep(SECONDS_PER_TRY)

    def table(self, title: str, last: int = SHOWN) -> Table:
        """The last rounds as a table."""
        table = Table(title=title, caption=self._note or None)
        metrics = shown_metrics(self.rounds, self._metrics)
        held_out = ["on held-out data"] if self._evaluate else []
        for heading in ("round", "updates", *metrics, *held_out, "seconds"):
            table.add_column(escape(heading), justify="right")
        for row in self._shown_rounds()[-last:]:
            cells = [figure(row.metrics.get(key)) for key in metrics]
            cells += [figure(row.held_out)] if held_out else []
            table.add_row(self._number(row), f"{row.updates}/{self._expected}", *cells, f"{row.seconds:.1f}")
        return table

    def _live(self, title: str) -> Group:
        """The table, and how much of the training is done: updates count as parts of their round."""
        current = self.rounds[-1]
        done = current.number - 1 - self._first + current.updates / (self._expected + 1)
        return Group(self.table(title), ProgressBar(total=self.target, completed=min(done, self.target), width=60))

    def _shown_rounds(self) -> list[Round]:
        """All rounds except the one after the last, which covers the time until the state is completed."""
        return [row for row in self.rounds if row.number <= self._first + self.target]

    def _number(self, row: Round) -> str:
        return f"{row.number - self._first}/{self.target}"

    def _line(self, row: Round) -> str:
        """A round that has finished, in a line."""
        parts = [f"round {self._number(row)}: {row.updates}/{self._expected} updates in {row.seconds:.1f} s"]
        metrics = shown_metrics(self.rounds, self._metrics)
        parts += [f"{key} {figure(row.metrics[key])}" for key in metrics if key in row.metrics]
        parts += [] if row.held_out is None else [f"on held-out data {figure(row.held_out)}"]
        return ", ".join(parts)

    def _look(self) -> bool:
        """Poll the server once; return whether the training is completed."""
        training = self._actor.training(self._training_id)
        number = self._actor.round_of(self._training_id, self._model_id)
        current = self.rounds[-1]
        if training["state"] == "I":
            self._started = time.monotonic()
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
            self._closed = number - self._first
            self._note = ""  # who was awaited a moment ago isn't any more
            self.rounds = [row for row in self.rounds if row.number <= number]
            self._read_reports()
        return bool(training["state"] == "C")

    def _waits_for(self) -> str:
        """Who is awaited, by name, as it was a moment ago."""
        if time.monotonic() - self._asked_at >= SECONDS_PER_STATUS:
            self._asked_at = time.monotonic()
            status = self._status().json()
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
        """Read the participants' test results."""
        self._read_at = time.monotonic()
        measured = self._actor.measured(self._model_id)
        for row in self.rounds:
            row.take(measured)

    def _awaits_reports(self) -> bool:
        """Is the mean of the round that was closed a moment ago one of a part of the participants?"""
        closed = self.rounds[-2:-1]
        missing = bool(closed) and closed[0].reports < self._expected
        return missing and time.monotonic() - self._started < SECONDS_FOR_REPORTS

    def _status(self) -> httpx.Response:
        return self._actor.call("GET", f"/trainings/{self._training_id}/status/")

    def _reason(self) -> str:
        """The training's status, which says why it isn't going on."""
        try:
            return f"Status: {self._status().text}"
        except (Refused, Unreachable):
            return ""

    @contextmanager
    def _shown(self, console: Console, title: str) -> Iterator[Callable[[], None]]:
        """A live table on a terminal; otherwise a line for each round, and now and then for the one that runs."""
        if console.is_terminal:
            with Live(self._live(title), console=console, auto_refresh=False) as live:
                yield lambda: live.update(self._live(title), refresh=True)
                live.update(self.table(title, last=max(SHOWN, 20)), refresh=True)
            return
        lines = Lines(console, title)

        def write() -> None:
            told = -2 if self._awaits_reports() else -1  # a mean of the first who have tested would mislead
            lines.add([self._line(row) for row in self.rounds[:told]])
            if current := self._shown_rounds()[-1:]:
                [row] = current
                updates = f"updates {row.updates}/{self._expected}"
                lines.remind(", ".join(part for part in (f"round {self._number(row)}", updates, self._note) if part))

        yield write
        lines.add([self._line(row) for row in self._shown_rounds()])
        lines.say(f"completed after {self._closed} of {self.target} rounds")
