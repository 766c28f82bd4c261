"""All figures of `/metrics`: name, kind, labels, meaning. docs/monitoring.md has them as a table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """kind: gauge, counter or histogram. Those of several web processes of one server: gauges of rows are the same in
    each, so take the largest; counters and what they hold now add up."""

    name: str
    kind: str
    labels: tuple[str, ...]
    meaning: str


def _gauge(name: str, meaning: str, *labels: str) -> Figure:
    return Figure(name, "gauge", labels, meaning)


def _counter(name: str, meaning: str, *labels: str) -> Figure:
    return Figure(name, "counter", labels, meaning)


READY = _gauge("fl_ready", "1 if requests should come to this process, else 0.")
PART_UP = _gauge("fl_part_up", "1 if the part works, 0 if it fails; missing if that can't be told.", "part")
WORKERS = _gauge("fl_workers", "Workers that take tasks from the queue.", "queue")
QUEUE_MESSAGES = _gauge("fl_queue_messages", "Messages that wait in the queue.", "queue")
QUEUE_TAKEN = _gauge("fl_queue_taken", "Messages that workers have taken and not yet done, of all queues.")

ROWS_READ = _gauge("fl_rows_read", "1 if the figures of rows could be read; 0: they are missing from this answer.")
TRAININGS = _gauge("fl_trainings", "Trainings by state.", "state")
ROUNDS_OPEN = _gauge("fl_rounds_open", "Open rounds of running trainings.", "kind")
ROUNDS_OPENED = _gauge("fl_rounds_opened_last_hour", "Rounds opened in the last hour.", "kind")
ROUNDS_CLOSED = _gauge("fl_rounds_closed_last_hour", "Rounds that ended in the last hour.", "kind", "outcome")
ROUND_MEAN = _gauge("fl_round_mean_seconds", "Mean time from opening to end, of rounds of the last hour.", "kind")
ROUND_LONGEST = _gauge("fl_round_longest_seconds", "The longest of these times.", "kind")
ROUNDS_DUE = _gauge("fl_rounds_due", "Rounds that a worker should look at now.")
ROUNDS_DUE_SECONDS = _gauge("fl_rounds_due_oldest_seconds", "For how long the oldest of these has been due.")
ROUNDS_FAILING = _gauge("fl_rounds_failing", "Open rounds that could not be closed at the last attempt.", "kind")
LEASES = _gauge("fl_leases", "Claims on open rounds: held, or lapsed because their worker fell silent.", "state")
AWAITED = _gauge("fl_participants_awaited", "Participants that open rounds wait for.")
PENDING = _gauge(
    "fl_deliveries_pending", "Notifications to deliver: due, later, or to be fetched by their receivers.", "state"
)
FAILING = _gauge("fl_deliveries_failing", "Pending notifications whose last attempt failed.")
DUE_SECONDS = _gauge("fl_deliveries_due_oldest_seconds", "For how long the oldest due notification has been due.")
SETTLED = _gauge("fl_deliveries_settled_last_hour", "Notifications settled in the last hour.", "outcome")
DISK_FREE = _gauge("fl_disk_free_bytes", "Free space on the disk of the data folder.")
DISK_SIZE = _gauge("fl_disk_size_bytes", "Size of the disk of the data folder.")

REQUESTS = _counter("fl_http_requests_total", "Requests answered.", "route", "method", "status")
REQUEST_SECONDS = Figure(
    "fl_http_request_seconds", "histogram", ("route", "method"), "Time until a request's answer was made."
)
IN_FLIGHT = _gauge("fl_http_requests_in_flight", "Requests that are being answered.")
RECEIVED = _counter("fl_http_received_bytes_total", "Bytes of requests' bodies: uploads.", "route")
SENT = _counter("fl_http_sent_bytes_total", "Bytes of answers' bodies: downloads.", "route")

SANDBOX_PROCESSES = _gauge("fl_sandbox_processes", "Sandboxed processes, at work or kept warm.")
SANDBOX_WAITING = _gauge("fl_sandbox_waiting", "Jobs, such as inferences, that wait for a sandboxed process.")
SANDBOX_JOBS = _counter("fl_sandbox_jobs_total", "Jobs that ended in the sandbox.", "outcome")
SANDBOX_KILLED = _counter("fl_sandbox_killed_total", "Sandboxed processes ended because of what ran in them.")


def figures() -> Iterator[Figure]:
    """All of them, in the order above."""
    return (value for value in globals().values() if isinstance(value, Figure))
