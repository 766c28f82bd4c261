"""`manage.py create_large_training`: a training with many participants and rounds, to measure the pages with."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction
from django.utils import timezone

from fl_server_core.models import Event, EventKind, GlobalModel, Metric, Round, Training, User
from fl_server_core.models.round import RoundOutcome
from fl_server_core.models.training import TrainingState
from fl_server_core.selectors.durations import COMPUTING, NOTIFYING
from fl_server_core.selectors.figures import BY_PARTICIPANT

ACTOR = "large-actor"
BATCH = 5000
ROUND = timedelta(minutes=1)


class Command(BaseCommand):
    """Rows only: the model has no file, and nobody is told."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """The password is that of the actor, who may then sign in."""
        parser.add_argument("--participants", type=int, default=100)
        parser.add_argument("--rounds", type=int, default=1000)
        parser.add_argument("--password", default="", help=f"of {ACTOR}; without one it can't sign in")

    def handle(self, *, participants: int, rounds: int, password: str, **_: Any) -> None:
        """Make all of it or nothing."""
        if participants < 1 or rounds < 1:
            raise CommandError("A training needs at least one participant and one round.")
        if User.objects.filter(username=ACTOR).exists():
            raise CommandError(f"There is a user {ACTOR} already: delete it first, with what belongs to it.")
        with transaction.atomic():
            training = _create(participants, rounds, password)
        numbers = f"{participants} participants, {rounds} rounds, {2 * participants * rounds} metrics"
        self.stdout.write(f"Training {training.pk}: {numbers}; its actor is {ACTOR}")


def _create(participants: int, rounds: int, password: str) -> Training:
    actor = User.objects.create_user(ACTOR, password=password or None)
    width = len(str(participants))
    people = User.objects.bulk_create(
        [User(username=f"large-{number:0{width}}") for number in range(1, participants + 1)]
    )
    model = GlobalModel.objects.create(owner=actor, name="large", description="To measure pages with.", round=rounds)
    training = Training.objects.create(
        actor=actor,
        model=model,
        state=TrainingState.ONGOING,
        first_round=0,
        target_num_updates=rounds + 1,
        metric_names=["accuracy", "loss"],
    )
    training.participants.set(people)
    rows = random.Random(0)
    figures = [_figures(people, rows) for _ in range(rounds)]
    now = timezone.now()
    Round.objects.bulk_create(_rounds(training, figures, now, rows), BATCH)
    Event.objects.bulk_create([_event(training, number, of_each) for number, of_each in enumerate(figures)], BATCH)
    Metric.objects.bulk_create(_metrics(model, people, rounds, rows), BATCH)
    return training


def _figures(people: Sequence[User], rows: random.Random) -> dict[str, dict[str, float]]:
    share = 1 / len(people)
    return {
        str(one.pk): {"norm": rows.lognormvariate(0, 0.2), "cosine": rows.uniform(0.6, 1), "share": share}
        for one in people
    }


def _rounds(training: Training, figures: Sequence[Any], now: Any, rows: random.Random) -> Iterator[Round]:
    """The closed rounds, and the one that is open."""
    count = len(figures)
    for number in range(count + 1):
        closed = number < count
        yield Round(
            training=training,
            number=number,
            kind="update",
            phase="update",
            opened_at=now - (count - number) * ROUND,
            closed_at=now - (count - number - 1) * ROUND if closed else None,
            outcome=RoundOutcome.CLOSED if closed else "",
            figures={
                BY_PARTICIPANT: figures[number],
                NOTIFYING: rows.uniform(1, 5),
                COMPUTING: rows.uniform(1, 3),
            }
            if closed
            else {},
        )


def _event(training: Training, number: int, of_each: Any) -> Event:
    return Event(
        training=training,
        kind=EventKind.AGGREGATED,
        round=number,
        figures={"updates": len(of_each), "seconds": 2.0, BY_PARTICIPANT: of_each},
    )


def _metrics(model: GlobalModel, people: Sequence[User], rounds: int, rows: random.Random) -> Iterator[Metric]:
    for number in range(rounds):
        progress = 1 - math.exp(-4 * number / rounds)
        for person in people:
            noise = rows.gauss(0, 0.02)
            for key, value in (("accuracy", 0.9 * progress + noise), ("loss", 2.3 * (1 - progress) - noise)):
                yield Metric(model=model, reporter=person, step=number, key=key, value_float=value)
