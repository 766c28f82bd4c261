"""The admin's pages, and rows of every kind to look at there."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from django.db.models import Model
from django.test import Client
from django.urls import reverse

from fl_server_core.models import (
    AccessToken,
    Alert,
    AlertRule,
    AuditEntry,
    Delivery,
    Event,
    GlobalModel,
    Identity,
    Invitation,
    LocalModel,
    MeanModel,
    Metric,
    ModelVersion,
    Round,
    Submission,
    SWAGModel,
    Training,
    TrainingInvitation,
    User,
)
from tests.builders.rows import (
    make_alert,
    make_alert_rule,
    make_delivery,
    make_event,
    make_identity,
    make_invitation,
    make_mean_model,
    make_metric,
    make_model,
    make_running,
    make_submission,
    make_swag_model,
    make_token,
    make_training_invitation,
    make_update,
    make_user,
)
from tests.builders.trail import make_entries

KINDS: tuple[type[Model], ...] = (
    User, GlobalModel, SWAGModel, MeanModel, LocalModel, ModelVersion, Metric, Training, Round, Submission, Delivery,
    Event, AccessToken, Invitation, Identity, TrainingInvitation, AuditEntry, AlertRule, Alert,
)  # fmt: skip


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


def fill(number: int, start: int = 0) -> dict[type[Model], list[Any]]:
    """So many rows of each kind, each with owners, trainings and models of its own."""
    rows: dict[type[Model], list[Any]] = {kind: [] for kind in KINDS}
    for index in range(start, start + number):
        actor = make_user(f"actor-{index}", actor=True)
        participant = make_user(f"participant-{index}", client=True, message_endpoint=f"http://client-{index}:8101/")
        base = make_model(actor, name=f"digits-{index}")
        swag = make_swag_model(actor, name=f"swag-{index}", swag_first_moment=b"m")
        mean = make_mean_model(actor, [base, swag], name=f"mean-{index}")
        training = make_running(actor, [participant], model=base, options={"round_deadline": 60})
        update = make_update(base, participant, sample_size=10)
        figure = make_metric(base, "accuracy", 0.9375, reporter=participant, step=0)
        blob = make_metric(update, "plot", b"\x00\xff\x01", reporter=participant)
        submission = make_submission(training, participant, update=update)
        rule = make_alert_rule(actor)
        made: dict[type[Model], list[Any]] = {
            AlertRule: [rule],
            Alert: [make_alert(rule, training)],
            User: [actor, participant],
            GlobalModel: [base],
            SWAGModel: [swag],
            MeanModel: [mean],
            LocalModel: [update],
            Training: [training],
            Metric: [figure, blob],
            ModelVersion: [base.current_version],
            Round: [submission.round],
            Submission: [submission],
            Delivery: [make_delivery(training, participant, last_error="Connection refused")],
            TrainingInvitation: [make_training_invitation(training, actor)],
            Event: [make_event(training, user=actor, figures={"updates": 3})],
            AccessToken: [make_token(actor, f"laptop-{index}")],
            Identity: [make_identity(actor, f"subject-{index}")],
            Invitation: [make_invitation(f"guest-{index}")],
            AuditEntry: make_entries("start", account_id=actor.pk, training_id=training.pk, object_kind="training"),
        }
        for kind, ones in made.items():
            rows[kind] += ones
    return rows


def kinds_left(*kinds: type[Model]) -> list[type[Model]]:
    """Of which of these kinds there are any rows."""
    return [kind for kind in kinds if kind._base_manager.exists()]


def first_digits(key: UUID, number: int = 8) -> str:
    return key.hex[:number]


def edit(client: Client, training: Training, **changes: Any) -> Any:
    """Send the form of a training's page as it stands, but for these changes."""
    fields = {
        "target_num_updates": training.target_num_updates,
        "options": json.dumps(training.options),
        "metric_names": json.dumps(training.metric_names),
    }
    return client.post(page_url(training), {**fields, **changes})
