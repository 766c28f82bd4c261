"""Who works in the admin, and rows of every kind for them to look at."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from django.contrib.auth.models import Permission
from django.core.files.base import ContentFile
from django.db.models import Model
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from fl_server_core.models import (
    Answer,
    Delivery,
    DeliveryStatus,
    EventKind,
    GlobalModel,
    LocalModel,
    MeanModel,
    Metric,
    Phase,
    SWAGModel,
    Training,
    TrainingEvent,
    User,
)
from fl_server_core.models.delivery import NotificationType
from fl_server_core.models.training import TrainingState

KINDS: tuple[type[Model], ...] = (
    User, GlobalModel, SWAGModel, MeanModel, LocalModel, Metric, Training, Answer, Delivery, TrainingEvent,
)  # fmt: skip


def make_user(name: str, **fields: Any) -> User:
    return User.objects.create_user(username=name, password="a long password", **fields)


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def admin_client() -> Client:
    return client_of(make_user("operator", is_staff=True, is_superuser=True))


def staff_with(*permissions: str) -> User:
    """A member of the staff with these permissions (codenames) and no others."""
    user = make_user("clerk", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    assert user.user_permissions.count() == len(permissions)
    return user


def list_url(kind: type[Model]) -> str:
    return reverse(f"admin:fl_server_core_{kind._meta.model_name}_changelist")


def page_url(row: Model, page: str = "change") -> str:
    return reverse(f"admin:fl_server_core_{row._meta.model_name}_{page}", args=[row.pk])


def act(client: Client, kind: type[Model], action: str, *rows: Model, **more: str) -> list[str]:
    """Run a list's action on rows and return the messages that the operator then sees."""
    keys = [str(row.pk) for row in rows]
    response = client.post(list_url(kind), {"action": action, "_selected_action": keys, **more}, follow=True)
    assert response.status_code == 200
    return [str(message) for message in response.context["messages"]]


def upload(content: bytes) -> ContentFile[bytes]:
    return ContentFile(content, name="upload.pt")


def make_training(actor: User, *participants: User, name: str = "digits", **fields: Any) -> Training:
    model = GlobalModel.objects.create(
        owner=actor, name=name, description="A model.", weights_file=upload(b"0123456789")
    )
    training = Training.objects.create(model=model, actor=actor, **{"target_num_updates": 5, **fields})
    training.participants.set(participants)
    return training


def make_running(actor: User, *participants: User, **fields: Any) -> Training:
    """A training in its first update round."""
    running = {"state": TrainingState.ONGOING, "phase": Phase.UPDATE, "phase_since": timezone.now(), "first_round": 0}
    return make_training(actor, *participants, **{**running, **fields})


def make_delivery(training: Training, receiver: User, **fields: Any) -> Delivery:
    values: dict[str, Any] = {
        "training_uuid": training.pk,
        "notification_type": NotificationType.UPDATE_ROUND_START,
        "phase": Phase.UPDATE,
        "round": 0,
        "status": DeliveryStatus.PENDING,
    }
    return Delivery.objects.create(training=training, receiver=receiver, **{**values, **fields})


def fill(number: int, start: int = 0) -> dict[type[Model], list[Any]]:
    """So many rows of each kind, each with owners, trainings and models of its own."""
    rows: dict[type[Model], list[Any]] = {kind: [] for kind in KINDS}
    for index in range(start, start + number):
        actor = make_user(f"actor-{index}", actor=True)
        participant = make_user(f"participant-{index}", client=True, message_endpoint=f"http://client-{index}:8101/")
        training = make_running(actor, participant, name=f"digits-{index}", options={"round_deadline": 60})
        base = GlobalModel.objects.get(pk=training.model_id)
        swag = SWAGModel.objects.create(
            owner=actor,
            name=f"swag-{index}",
            description="S",
            weights_file=upload(b"w"),
            swag_first_moment_file=upload(b"m"),
        )
        mean = MeanModel.objects.create(owner=actor, name=f"mean-{index}", description="M")
        mean.models.set([base, swag])
        update = LocalModel.objects.create(
            owner=participant, base_model=base, sample_size=10, weights_file=upload(b"update")
        )
        rows[User] += [actor, participant]
        rows[GlobalModel].append(base)
        rows[SWAGModel].append(swag)
        rows[MeanModel].append(mean)
        rows[LocalModel].append(update)
        rows[Training].append(training)
        rows[Metric] += [
            Metric.objects.create(model=base, key="accuracy", value_float=0.9375, reporter=participant, step=0),
            Metric.objects.create(model=update, key="plot", value_binary=b"\x00\xff\x01", reporter=participant),
        ]
        rows[Answer].append(
            Answer.objects.create(
                training=training, participant=participant, phase=Phase.UPDATE, round=0, local_model=update
            )
        )
        rows[Delivery].append(make_delivery(training, participant, last_error="Connection refused"))
        rows[TrainingEvent].append(
            TrainingEvent.objects.create(
                training=training, kind=EventKind.STARTED, round=0, user=actor, figures={"updates": 3}
            )
        )
    return rows


def kinds_left(*kinds: type[Model]) -> list[type[Model]]:
    """Of which of these kinds there are any rows."""
    return [kind for kind in kinds if kind._base_manager.exists()]


def first_digits(key: UUID, number: int = 8) -> str:
    return key.hex[:number]


def sent_to(user: User) -> list[str]:
    return list(Delivery.objects.filter(receiver=user).values_list("notification_type", flat=True))


def edit(client: Client, training: Training, **changes: Any) -> Any:
    """Send the form of a training's page as it stands, but for these changes."""
    fields = {
        "target_num_updates": training.target_num_updates,
        "options": json.dumps(training.options),
        "metric_names": json.dumps(training.metric_names),
    }
    return client.post(page_url(training), {**fields, **changes})
