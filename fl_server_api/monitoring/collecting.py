"""What is looked up when somebody asks for the figures: readiness, queues, rows, the disk."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from functools import cache
from pathlib import Path

from django.conf import settings
from django.db import close_old_connections, connection
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from fl_server_api.monitoring import catalogue
from fl_server_api.monitoring.catalogue import Figure
from fl_server_api.monitoring.readiness import Readiness, watcher
from fl_server_core.monitoring.bounded import Bounded
from fl_server_core.selectors.monitoring import DeliveryFigures, RoundFigures, RowFigures, row_figures

ROWS_SECONDS = 4.0


class LookedUp(Collector):
    """Asks for everything side by side. What can't be had is missing from the answer: it doesn't fail the rest."""

    def collect(self) -> Iterator[Metric]:
        rows = _rows()
        number = rows.ask()
        yield from _of_readiness(watcher().readiness())
        yield from _of_disk()
        try:
            found = rows.answer(number)
        except Exception:  # noqa: BLE001  whatever it is, fl_rows_read says so, and /readyz why
            yield _one(catalogue.ROWS_READ, 0)
            return
        yield _one(catalogue.ROWS_READ, 1)
        yield from _of_rows(found)


@cache
def _rows() -> Bounded[RowFigures]:
    return Bounded("rows", _read_rows, seconds=ROWS_SECONDS)


def _read_rows() -> RowFigures:
    close_old_connections()
    try:
        return row_figures()
    except Exception:
        connection.close()
        raise
    finally:
        close_old_connections()


def _of_readiness(readiness: Readiness) -> Iterator[Metric]:
    yield _one(catalogue.READY, readiness.takes_requests)
    known = {part.name: float(part.is_ok) for part in readiness.parts if part.is_ok is not None}
    yield _family(catalogue.PART_UP, known)
    work = readiness.work
    yield _family(catalogue.WORKERS, work.workers if work else {})
    yield _family(catalogue.QUEUE_MESSAGES, work.depths if work else {})
    if work is not None and work.depths:
        yield _one(catalogue.QUEUE_TAKEN, work.taken)


def _of_disk() -> Iterator[Metric]:
    try:
        usage = shutil.disk_usage(Path(settings.FL_DATA_DIR))
    except OSError:
        return
    yield _one(catalogue.DISK_FREE, usage.free)
    yield _one(catalogue.DISK_SIZE, usage.total)


def _of_rows(rows: RowFigures) -> Iterator[Metric]:
    yield _family(catalogue.TRAININGS, rows.trainings)
    yield from _of_rounds(rows.rounds)
    yield _one(catalogue.ROUNDS_DUE, rows.due)
    yield _one(catalogue.ROUNDS_DUE_SECONDS, _age(rows.due_since, rows.at))
    yield _one(catalogue.AWAITED, rows.awaited)
    yield from _of_deliveries(rows.deliveries, rows.at)


def _of_rounds(rounds: Mapping[str, RoundFigures]) -> Iterator[Metric]:
    yield _family(catalogue.ROUNDS_OPEN, {kind: one.open for kind, one in rounds.items()})
    yield _family(catalogue.ROUNDS_OPENED, {kind: one.opened for kind, one in rounds.items()})
    closed = {(kind, outcome): n for kind, one in rounds.items() for outcome, n in one.closed.items()}
    yield _family(catalogue.ROUNDS_CLOSED, closed)
    timed = {kind: one for kind, one in rounds.items() if one.closed}
    yield _family(catalogue.ROUND_MEAN, {kind: one.mean for kind, one in timed.items()})
    yield _family(catalogue.ROUND_LONGEST, {kind: one.longest for kind, one in timed.items()})
    yield _family(catalogue.ROUNDS_FAILING, {kind: one.failing for kind, one in rounds.items()})
    held, lapsed = (sum(getattr(one, state) for one in rounds.values()) for state in ("held", "lapsed"))
    yield _family(catalogue.LEASES, {"held": held, "lapsed": lapsed})


def _of_deliveries(found: DeliveryFigures, now: datetime) -> Iterator[Metric]:
    yield _family(catalogue.PENDING, {"due": found.due, "later": found.later, "fetched": found.fetched})
    yield _one(catalogue.FAILING, found.failing)
    yield _one(catalogue.DUE_SECONDS, _age(found.oldest, now))
    yield _family(catalogue.SETTLED, found.settled)


def _age(since: datetime | None, now: datetime) -> float:
    return 0.0 if since is None else max(0.0, (now - since).total_seconds())


def _one(figure: Figure, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(figure.name, figure.meaning, value=float(value))


def _family(figure: Figure, values: Mapping[str, float] | Mapping[tuple[str, str], float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(figure.name, figure.meaning, labels=figure.labels)
    items: Iterable[tuple[str | tuple[str, str], float]] = values.items()
    for labels, value in items:
        family.add_metric([labels] if isinstance(labels, str) else list(labels), float(value))
    return family
