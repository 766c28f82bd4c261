"""What a web process counts itself: requests, bytes, and what its sandbox does.

Where there are several processes on one address, the library keeps these figures in files that all of them share
(`fl_server/telemetry/metrics_folder.py`): it decides that when it is imported.
"""

from __future__ import annotations

import threading
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

from fl_server_ai.sandbox import Change
from fl_server_api.monitoring import catalogue
from fl_server_api.monitoring.catalogue import Figure

REGISTRY = CollectorRegistry()
_making = threading.Lock()
SECONDS = (0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60)
OUTCOMES = {
    Change.DONE: "done",
    Change.MODEL_FAILED: "model_failed",
    Change.STOPPED: "stopped",
    Change.INPUT_REFUSED: "input_refused",
    Change.BUSY: "busy",
    Change.NOT_STARTED: "not_started",
    Change.ENDED_OTHERWISE: "other_error",
}

# The time when each series began, beside each series: nobody asks for it.
disable_created_metrics()  # type: ignore[no-untyped-call]  # it has types in part


class Counting:
    """The figures of this process. Made when first needed, which comes after any fork."""

    def __init__(self) -> None:
        self.requests = _counter(catalogue.REQUESTS)
        self.seconds = Histogram(
            catalogue.REQUEST_SECONDS.name,
            catalogue.REQUEST_SECONDS.meaning,
            catalogue.REQUEST_SECONDS.labels,
            buckets=SECONDS,
            registry=REGISTRY,
        )
        self.in_flight = _gauge(catalogue.IN_FLIGHT)
        self.received = _counter(catalogue.RECEIVED)
        self.sent = _counter(catalogue.SENT)
        self._processes = _gauge(catalogue.SANDBOX_PROCESSES)
        self._waiting = _gauge(catalogue.SANDBOX_WAITING)
        self._jobs = _counter(catalogue.SANDBOX_JOBS)
        self._killed = _counter(catalogue.SANDBOX_KILLED)

    def note_sandbox(self, change: Change, amount: int) -> None:
        """Something happened in this process's sandbox."""
        if change in OUTCOMES:
            self._jobs.labels(OUTCOMES[change]).inc(amount)
        elif change is Change.PROCESSES:
            self._processes.inc(amount)
        elif change is Change.WAITING:
            self._waiting.inc(amount)
        elif change is Change.KILLED:
            self._killed.inc(amount)


def _counter(figure: Figure) -> Counter:
    return Counter(figure.name, figure.meaning, figure.labels, registry=REGISTRY)


def _gauge(figure: Figure) -> Gauge:
    # Of a process that has ended, nothing is in flight any more.
    return Gauge(figure.name, figure.meaning, figure.labels, registry=REGISTRY, multiprocess_mode="livesum")


@cache
def _made() -> Counting:
    return Counting()


def counting() -> Counting:
    """The one of this process. Two threads that need it first must not both make it: its names are registered once."""
    with _making:
        return _made()
