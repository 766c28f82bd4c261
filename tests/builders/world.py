"""A training with its people, driven through the services."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import torch
from django.utils import timezone

from fl_server_ai.trainer import ModelTrainer
from fl_server_core.models import Delivery, Event, GlobalModel, LocalModel, Model, Training, User
from fl_server_core.rounds.claims import Claim
from fl_server_core.rounds.kinds import Offer
from fl_server_core.rounds.submitting import submit
from fl_server_core.services.metrics import report_metrics
from fl_server_core.services.models import create_global_model
from fl_server_core.services.participants import remove_participants
from fl_server_core.services.trainings import create_training, start_training
from tests.builders import rounds
from tests.builders.files import linear, saved, uploaded
from tests.builders.rows import make_user

NOWHERE = "http://127.0.0.1:9/"


def _make_people(endpoints: Sequence[str]) -> list[User]:
    ids = sorted(uuid4() for _ in endpoints)
    return [
        make_user(f"p{place}", id=ids[place], message_endpoint=endpoint) for place, endpoint in enumerate(endpoints)
    ]


class World:
    """One actor, some participants with ids in a known order, one training of a linear model.

    participants: how many, or the endpoint of each ("": none).
    like: another world, whose people these are.
    training: more arguments of `create_training`.
    """

    def __init__(
        self,
        participants: int | Sequence[str] = 3,
        *,
        swag: bool = False,
        module: torch.nn.Module | None = None,
        like: World | None = None,
        **training: Any,
    ) -> None:
        endpoints = [""] * participants if isinstance(participants, int) else participants
        self.actor: User = like.actor if like else make_user("actor")
        self.people: list[User] = like.people if like else _make_people(endpoints)
        model = create_global_model(
            owner=self.actor,
            name="linear",
            description="three in, two out",
            model_file=uploaded(saved(module or linear(0.0))),
            kind="SWAG" if swag else "GLOBAL",
        )
        self.training = create_training(
            actor=self.actor,
            model_id=model.pk,
            participant_ids=[person.pk for person in self.people],
            **{
                "target_num_updates": 2,
                "metric_names": [],
                "aggregation_method": "FedAvg",
                "uncertainty_method": "SWAG" if swag else "NONE",
                **training,
            },
        )

    # What people and workers do.

    def start(self) -> World:
        start_training(training_id=self.training.pk, user=self.actor)
        return self

    def update(self, who: int, value: float | torch.nn.Module, *, size: int = 1, **changes: Any) -> None:
        module = value if isinstance(value, torch.nn.Module) else linear(value)
        person = self.people[who]
        values = {
            "participant": person,
            "phase": "update",
            "target_id": self.given(person),
            "number": self.round,
            "sample_size": size,
            "files": {"model": uploaded(saved(module))},
        }
        submit(Offer(**{**values, **changes}))

    def moments(self, who: int, first: torch.Tensor, second: torch.Tensor, *, size: int = 1) -> None:
        files = {"first_moment": uploaded(saved(first)), "second_moment": uploaded(saved(second))}
        submit(
            Offer(
                self.people[who],
                "swag",
                target_id=self.training.model_id,
                number=self.round,
                sample_size=size,
                files=files,
            )
        )

    def metrics(self, who: int, value: float = 0.5) -> None:
        report_metrics(model_id=self.training.model_id, reporter=self.people[who], metrics=[("accuracy", str(value))])

    def remove(self, *leaving: int) -> None:
        ids = [self.people[who].pk for who in leaving]
        remove_participants(training_id=self.training.pk, user=self.actor, user_ids=ids)

    def advance(self) -> World:
        ModelTrainer(self.training).advance()
        return self

    def claim_full_round(self) -> Claim:
        """All send updates (1.0, 2.0 …); a worker claims the round and then says nothing."""
        for who in range(len(self.people)):
            self.update(who, float(who + 1))
        return rounds.claim_round(self.training)

    def let_the_lease_run_out(self) -> World:
        rounds.let_the_lease_run_out(self.training)
        return self

    def pass_the_deadline(self) -> World:
        rounds.set_deadline(self.training, timezone.now() - timedelta(seconds=1))
        return self.advance()

    # How things stand.

    @property
    def now(self) -> Training:
        return Training.objects.get(pk=self.training.pk)

    @property
    def state(self) -> tuple[str, str]:
        """The training's state, and the kind of its open round."""
        return self.now.state, rounds.phase_of(self.training)

    @property
    def round(self) -> int:
        return self.model.round

    @property
    def model(self) -> GlobalModel:
        return GlobalModel.objects.get(pk=self.training.model_id)

    @property
    def weight(self) -> float:
        """The first weight of the global model."""
        return float(next(self.model.get_torch_model().parameters()).detach().flatten()[0])

    def given(self, person: User) -> UUID:
        """The id of the model that a participant is to train on in the open round."""
        passed = LocalModel.objects.filter(base_model_id=self.training.model_id, passed_to=person).first()
        return self.training.model_id if passed is None else passed.pk

    def handed_out(self, who: int) -> torch.nn.Module:
        return Model.objects.get(pk=self.given(self.people[who])).get_torch_model()

    def takes_part(self, who: int = 0) -> bool:
        return self.training.participants.filter(pk=self.people[who].pk).exists()

    # Notifications and history.

    def sent(self, kind: str) -> list[Delivery]:
        return list(Delivery.objects.filter(training_uuid=self.training.pk, notification_type=kind))

    def delivery(self, kind: str, who: int = 0) -> Delivery:
        """The newest of this kind for a participant."""
        return [delivery for delivery in self.sent(kind) if delivery.receiver_id == self.people[who].pk][-1]

    def statuses(self, who: int = 0) -> list[tuple[str, str]]:
        """Type and status of a participant's notifications, oldest first."""
        rows = Delivery.objects.filter(receiver=self.people[who], training_uuid=self.training.pk)
        return list(rows.order_by("pk").values_list("notification_type", "status"))

    def events(self, kind: str | None = None) -> list[Event]:
        return rounds.events_of(self.training, kind)

    def event(self, kind: str) -> Event:
        """The only one of its kind."""
        return rounds.event_of(self.training, kind)

    def history(self) -> list[str]:
        """The kinds of all events, oldest first."""
        return [event.kind for event in self.events()]
