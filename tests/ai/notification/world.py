"""A training with its people and its outbox: what a test of the notifications looks at."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.utils import timezone

from fl_server_core.models import Answer, Delivery, GlobalModel, Phase, Training, TrainingEvent, User
from fl_server_core.services.trainings import start_training

NOWHERE = "http://127.0.0.1:9/"


class World:
    """One actor and one participant for each endpoint, whose training is running."""

    def __init__(self, endpoints: Sequence[str] = (NOWHERE,), *, start: bool = True, **options: Any) -> None:
        self.actor = User.objects.create_user("actor", password="x")
        self.people = [
            User.objects.create_user(f"p{number}", password="x", message_endpoint=endpoint)
            for number, endpoint in enumerate(endpoints)
        ]
        model = GlobalModel.objects.create(owner=self.actor, name="m", description="d")
        self.training = Training.objects.create(model=model, actor=self.actor, target_num_updates=3, options=options)
        self.training.participants.set(self.people)
        if start:
            start_training(training_id=self.training.pk, user=self.actor)

    @property
    def now(self) -> Training:
        return Training.objects.get(pk=self.training.pk)

    @property
    def state(self) -> str:
        return self.now.state

    def delivery(self, kind: str, who: int = 0) -> Delivery:
        """The newest of this kind for a participant."""
        found = Delivery.objects.filter(
            receiver=self.people[who], training_uuid=self.training.pk, notification_type=kind
        ).last()
        assert found is not None
        return found

    def statuses(self, who: int = 0) -> list[tuple[str, str]]:
        rows = Delivery.objects.filter(receiver=self.people[who], training_uuid=self.training.pk)
        return list(rows.order_by("pk").values_list("notification_type", "status"))

    def takes_part(self, who: int = 0) -> bool:
        return self.training.participants.filter(pk=self.people[who].pk).exists()

    def answer(self, who: int = 0) -> None:
        Answer.objects.create(training=self.training, participant=self.people[who], phase=Phase.UPDATE, round=0)

    def events(self, kind: str) -> list[TrainingEvent]:
        return list(TrainingEvent.objects.filter(training=self.training.pk, kind=kind))


def make_due(delivery: Delivery) -> None:
    """Let the time pass until the next attempt."""
    Delivery.objects.filter(pk=delivery.pk).update(next_attempt_at=timezone.now())


def pause_of(delivery: Delivery) -> timedelta:
    """How long after its last attempt the delivery is to be tried again."""
    delivery.refresh_from_db()
    assert delivery.next_attempt_at is not None
    assert delivery.last_attempt_at is not None
    return delivery.next_attempt_at - delivery.last_attempt_at
