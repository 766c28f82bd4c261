"""Rows of every kind: real users, real archives, no fixture files."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from django.utils import timezone

from fl_server_core.models import (
    AccessToken,
    Alert,
    AlertRule,
    Delivery,
    Event,
    EventKind,
    GlobalModel,
    Identity,
    Invitation,
    LocalModel,
    MeanModel,
    Metric,
    Model,
    Round,
    Submission,
    SWAGModel,
    Training,
    TrainingInvitation,
    User,
)
from fl_server_core.models.model_version import StoredWeights, append_version
from fl_server_core.models.training import TrainingState
from fl_server_core.registry import round_kinds
from tests.builders.files import saved, scripted_linear

if TYPE_CHECKING:
    import torch

_numbers = itertools.count(1)


def make_user(username: str | None = None, **fields: Any) -> User:
    """A user without a usable password, which costs no hashing; give `password` for one with."""
    return User.objects.create_user(username or f"user-{next(_numbers)}", **fields)


def make_model(
    owner: User,
    kind: type[GlobalModel] = GlobalModel,
    *,
    weights: bytes | torch.nn.Module | None = None,
    stored_as: str | None = None,
    **fields: Any,
) -> Any:
    """A global model with a file: of these weights, or one that is stored already, or else a scripted linear model."""
    model = kind.objects.create(owner=owner, **{"name": "linear", "description": "three in, two out", **fields})
    if stored_as is not None:
        append_version(model, StoredWeights(stored_as, "", 0))
    elif kind is not MeanModel:
        model.weights = _bytes(weights, scripted_linear)
        model.save()
    return model


def _bytes(weights: bytes | torch.nn.Module | None, default: Callable[[], bytes]) -> bytes:
    if weights is None:
        return default()
    return weights if isinstance(weights, bytes) else saved(weights)


def make_swag_model(owner: User, **fields: Any) -> SWAGModel:
    model: SWAGModel = make_model(owner, SWAGModel, **fields)
    return model


def make_mean_model(owner: User, members: Iterable[GlobalModel] = (), **fields: Any) -> MeanModel:
    model: MeanModel = make_model(owner, MeanModel, **{"name": "mean", "description": "of others", **fields})
    model.models.set(members)
    return model


def make_update(
    base: GlobalModel,
    owner: User,
    *,
    weights: bytes | torch.nn.Module | None = None,
    stored_as: str | None = None,
    **fields: Any,
) -> LocalModel:
    """One participant's update of a global model, in the round where that is. No submission: see make_submission."""
    given = _bytes(weights, lambda: scripted_linear(2.0)) if stored_as is None else None
    file = {"weights_file": stored_as} if stored_as is not None else {"weights": given}
    values = {"round": base.round, "sample_size": 1, **file, **fields}
    return LocalModel.objects.create(base_model=base, owner=owner, **values)


def make_metric(model: Model, key: str = "loss", value: float | bytes = 1.0, **fields: Any) -> Metric:
    column = "value_binary" if isinstance(value, bytes) else "value_float"
    asked = {"is_test": True} if fields.get("test_round") else {}
    return Metric.objects.create(model=model, key=key, **{column: value}, **asked, **fields)


def make_training(
    actor: User,
    participants: Iterable[User] = (),
    model: Model | None = None,
    *,
    name: str = "linear",
    **fields: Any,
) -> Training:
    """A training that has not been started, by default of a model of its own with that name."""
    values = {"model": model or make_model(actor, name=name), "target_num_updates": 2, **fields}
    training = Training.objects.create(actor=actor, **values)
    training.participants.set(participants)
    return training


def make_running(actor: User, participants: Iterable[User] = (), *, kind: str = "update", **fields: Any) -> Training:
    """A training in its first round, of which nobody was told."""
    state = TrainingState.SWAG_ROUND if kind == "swag" else TrainingState.ONGOING
    training = make_training(actor, participants, **{"state": state, "first_round": 0, **fields})
    make_round(training, kind, training.model.round, opened_at=timezone.now())
    return training


def make_round(training: Training, kind: str = "update", number: int = 0, **fields: Any) -> Round:
    """The training's round of this kind and number; if it has none yet, one that is not open."""
    values = {"phase": "update" if kind == "passing_on" else kind, **fields}
    row, _is_new = Round.objects.update_or_create(training=training, kind=kind, number=number, defaults=values)
    return row


def make_submission(
    training: Training,
    participant: User,
    *,
    kind: str = "update",
    round: int = 0,
    update: LocalModel | None = None,
    is_counted: bool = False,
    is_silent: bool = False,
) -> Submission:
    """One participant's part in one round. A silent one sends no signal, so that no worker is nudged."""
    row = make_round(training, kind, round)
    submission = Submission(round=row, participant=participant, local_model=update)
    submission.counted = is_counted
    if is_silent:
        Submission.objects.bulk_create([submission])
    else:
        submission.save()
    return submission


def make_delivery(
    training: Training, receiver: User, kind: str = "UPDATE_ROUND_START", *, round: int = 0, **fields: Any
) -> Delivery:
    """A delivery, pending if nothing else is said; `round` where it announces one."""
    return Delivery.objects.create(**_delivery_fields(training, receiver, kind, round), **fields)


def make_deliveries(number: int, training: Training, receiver: User, kind: str, **fields: Any) -> None:
    """So many at once, without signals."""
    values = _delivery_fields(training, receiver, kind, 0)
    Delivery.objects.bulk_create([Delivery(**values, **fields) for _ in range(number)])


def _delivery_fields(training: Training, receiver: User, kind: str, round: int) -> dict[str, Any]:
    values = {"receiver": receiver, "training": training, "training_uuid": training.pk, "notification_type": kind}
    announced = next((name for name, known in round_kinds.items() if known.notification == kind), None)
    return values if announced is None else {**values, "round": make_round(training, announced, round)}


def make_token(user: User, name: str = "laptop", **fields: Any) -> AccessToken:
    """A token with a digest that no key has."""
    wanted = {"digest": uuid4().hex, "scopes": ["read", "write"], **fields}
    return AccessToken.objects.create(user=user, name=name, **wanted)


def make_identity(user: User, subject: str = "subject", issuer: str = "https://login.example.org") -> Identity:
    return Identity.objects.create(user=user, issuer=issuer, subject=subject)


def make_invitation(note: str = "", **fields: Any) -> Invitation:
    """An open invitation with a digest that no code has."""
    wanted = {"digest": uuid4().hex, "expires_at": timezone.now() + timedelta(days=7), **fields}
    return Invitation.objects.create(note=note, **wanted)


def make_training_invitation(training: Training, user: User, **fields: Any) -> TrainingInvitation:
    """An open invitation by the training's actor, of which nobody was told."""
    return TrainingInvitation.objects.create(training=training, user=user, **{"invited_by": training.actor, **fields})


def make_event(training: Training, kind: str = EventKind.STARTED, *, round: int = 0, **fields: Any) -> Event:
    return Event.objects.create(training=training, kind=kind, round=round, **fields)


def make_alert_rule(user: User, condition: str = "failed", **fields: Any) -> AlertRule:
    """An active rule about the user's own trainings, told to a webhook where nobody listens."""
    values = {"channel": "webhook", "url": "http://127.0.0.1:9/", "active_since": timezone.now(), **fields}
    if condition == "waiting":
        values.setdefault("minutes", 30)
    return AlertRule.objects.create(user=user, condition=condition, **values)


def make_alert(rule: AlertRule, training: Training, text: str = "It failed.", **fields: Any) -> Alert:
    """An alert that was not sent, about nothing in particular."""
    return Alert.objects.create(rule=rule, training=training, text=text, **fields)
