"""What is shown of a training that is followed: the figures of its rounds, in words."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from statistics import fmean

import httpx
from rich.console import Console

SECONDS_PER_LINE = 10.0
"""How often to print a line while a round runs, if the output isn't a terminal. The end of a round always has one."""
FIRST = ("accuracy", "loss")
"""Metrics that are shown before others."""
COLUMNS = 3
"""How many metrics are shown, if none were asked for."""


@dataclass
class Round:
    """Figures of one round. Metrics are those of the model that the round produced: means over the participants.

    reported: the accuracy among the metrics. reports: how many participants have reported.
    """

    number: int
    updates: int = 0
    reported: float | None = None
    reports: int = 0
    held_out: float | None = None
    seconds: float = 0.0
    metrics: dict[str, float] = field(default_factory=dict)

    def take(self, measured: Mapping[str, Mapping[int, Mapping[str, float]]]) -> None:
        """Keep what was measured in this round: by metric, round and participant. Each has the same weight."""
        own = {key: rounds[self.number] for key, rounds in measured.items() if self.number in rounds}
        self.metrics = {key: fmean(values.values()) for key, values in own.items()}
        self.reported = self.metrics.get("accuracy")
        self.reports = max(map(len, own.values()), default=0)


def shown_metrics(rounds: Sequence[Round], wanted: Sequence[str]) -> list[str]:
    """The metrics to show: those that are wanted, or else the first that were reported."""
    if wanted:
        return list(dict.fromkeys(wanted))
    found = dict.fromkeys(key for row in rounds for key in row.metrics)
    return sorted(found, key=lambda key: FIRST.index(key) if key in FIRST else len(FIRST))[:COLUMNS]


class Lines:
    """What is printed where no table can be drawn anew."""

    def __init__(self, console: Console, title: str) -> None:
        self._console, self._title = console, title
        self._printed, self._written = 0, time.monotonic()

    def add(self, finished: Sequence[str]) -> None:
        """A line for each round that has finished since the last time."""
        for sentence in finished[self._printed :]:
            self.say(sentence)
        self._printed = len(finished)

    def remind(self, sentence: str) -> None:
        """Print a line about the open round, unless something was printed a short time ago."""
        if time.monotonic() - self._written > SECONDS_PER_LINE:
            self.say(sentence)

    def say(self, sentence: str) -> None:
        """A line."""
        self._written = time.monotonic()
        self._console.print(f"{self._title}: {sentence}", highlight=False, markup=False, soft_wrap=True)


def figure(value: float | None) -> str:
    """A number with three decimals, or as many digits as tell something; empty for None."""
    if value is None:
        return ""
    if 1000 <= abs(value) < 1_000_000:
        return f"{value:.1f}"
    return f"{value:.3f}" if value == 0 or 0.01 <= abs(value) < 1000 else f"{value:.4g}"


def age_of_round(status: httpx.Response) -> float:
    """How many seconds ago the open round began, by the server's own clock; 0 if none is open."""
    since, date = status.json().get("since"), status.headers.get("Date")
    if not since:
        return 0.0
    now = parsedate_to_datetime(date) if date else datetime.now(UTC)
    return max((now - datetime.fromisoformat(since)).total_seconds(), 0.0)
