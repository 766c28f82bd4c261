"""A training with its people, driven through the services: what a test of the trainer looks at."""

from __future__ import annotations

import copy
import io
from typing import Any
from uuid import UUID

import torch
from django.core.files.uploadedfile import SimpleUploadedFile

from fl_server_ai.trainer import ModelTrainer
from fl_server_core.models import Delivery, GlobalModel, LocalModel, Model, Training, TrainingEvent, User
from fl_server_core.services.metrics import report_metrics
from fl_server_core.services.models import create_global_model
from fl_server_core.services.trainings import create_training, start_training
from fl_server_core.services.updates import submit_moments, submit_update


def upload(content: bytes, name: str = "model.pt") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content)


def saved(value: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def linear(value: float) -> torch.nn.Module:
    """Three in, two out; every weight and bias is `value`."""
    module = torch.nn.Sequential(torch.nn.Linear(3, 2))
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.fill_(value)
    return module


def flat(module: torch.nn.Module) -> torch.Tensor:
    return torch.cat([tensor.flatten() for tensor in module.state_dict().values()])


def noisy(module: torch.nn.Module, seed: int) -> torch.nn.Module:
    """The module after a "training" that an observer can repeat."""
    generator = torch.Generator().manual_seed(seed)
    trained = copy.deepcopy(module)
    with torch.no_grad():
        for parameter in trained.parameters():
            parameter.mul_(0.9).add_(torch.randn(parameter.shape, generator=generator))
    return trained


def _make_people(number: int) -> list[User]:
    people = (User.objects.create_user(f"p{place}", password="x") for place in range(number))
    return sorted(people, key=lambda user: user.pk)


class World:
    """One actor, some participants with ids in a known order, one training of a linear model."""

    def __init__(
        self,
        participants: int = 3,
        *,
        swag: bool = False,
        module: torch.nn.Module | None = None,
        like: World | None = None,
        **training: Any,
    ) -> None:
        self.actor: User = like.actor if like else User.objects.create_user("actor", password="x")
        self.people: list[User] = like.people if like else _make_people(participants)
        model = create_global_model(
            owner=self.actor,
            name="linear",
            description="three in, two out",
            model_file=upload(saved(module or linear(0.0))),
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

    def start(self) -> World:
        start_training(training_id=self.training.pk, user=self.actor)
        return self

    def update(self, who: int, value: float | torch.nn.Module, *, size: int = 1, **changes: Any) -> None:
        module = value if isinstance(value, torch.nn.Module) else linear(value)
        person = self.people[who]
        submit_update(
            **{
                "model_id": self.given(person),
                "participant": person,
                "round": self.round,
                "sample_size": size,
                "file": upload(saved(module)),
                **changes,
            }
        )

    def moments(self, who: int, first: torch.Tensor, second: torch.Tensor, *, size: int = 1) -> None:
        submit_moments(
            model_id=self.training.model_id,
            participant=self.people[who],
            round=self.round,
            sample_size=size,
            first_moment_file=upload(saved(first)),
            second_moment_file=upload(saved(second)),
        )

    def metrics(self, who: int, value: float = 0.5) -> None:
        report_metrics(model_id=self.training.model_id, reporter=self.people[who], metrics=[("accuracy", str(value))])

    def advance(self) -> World:
        ModelTrainer(self.training).advance()
        return self

    def given(self, person: User) -> UUID:
        passed = LocalModel.objects.filter(base_model_id=self.training.model_id, passed_to=person).first()
        return self.training.model_id if passed is None else passed.pk

    def handed_out(self, who: int) -> torch.nn.Module:
        """The model that a participant is to train on in the open round."""
        return Model.objects.get(pk=self.given(self.people[who])).get_torch_model()

    @property
    def model(self) -> GlobalModel:
        return GlobalModel.objects.get(pk=self.training.model_id)

    @property
    def round(self) -> int:
        return self.model.round

    @property
    def now(self) -> Training:
        return Training.objects.get(pk=self.training.pk)

    @property
    def weight(self) -> float:
        """The first weight of the global model."""
        return float(next(self.model.get_torch_model().parameters()).detach().flatten()[0])

    @property
    def state(self) -> tuple[str, str]:
        now = self.now
        return now.state, now.phase

    def sent(self, kind: str) -> list[Delivery]:
        return list(Delivery.objects.filter(training_uuid=self.training.pk, notification_type=kind))

    def events(self) -> list[str]:
        return list(TrainingEvent.objects.filter(training_id=self.training.pk).values_list("kind", flat=True))
