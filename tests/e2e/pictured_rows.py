"""What the pictures of the documents show, beside a large training: a model, three trainings and alert rules."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.utils import timezone

from fl_server_core.models import EventKind, GlobalModel, Training, User
from fl_server_core.models.model_version import append_version, store_weights
from tests.builders.files import pickled_linear
from tests.builders.rows import (
    make_alert,
    make_alert_rule,
    make_event,
    make_metric,
    make_model,
    make_round,
    make_submission,
    make_training,
    make_user,
)

LARGE = "large-"
ROUND = timedelta(seconds=40)
METHODS = {"FedAvg": (0.84, 9.0), "FedProx": (0.9, 6.0), "Median": (0.8, 4.0)}
"""What the accuracy comes near to, and in how many rounds it does most of the way."""


@dataclass(frozen=True)
class Shown:
    """Rows with a page of their own."""

    model: GlobalModel
    trainings: Sequence[Training]


def name_as_clinics(training: str, actor: str) -> None:
    """The large training's people and model have the names of this story."""
    GlobalModel.objects.filter(training__id=UUID(training)).update(name="blood cells", description="")
    for person in User.objects.filter(username__startswith=LARGE):
        person.username = actor if person.username == f"{LARGE}actor" else person.username.replace(LARGE, "clinic-")
        person.save()


def make_shown(name: str) -> Shown:
    """All of it, of the actor of this name."""
    actor = User.objects.get(username=name)
    clinics = [make_user(f"clinic-{name}") for name in ("north", "south", "west")]
    trainings = [_training(actor, clinics, method) for method in METHODS]
    _alert_rules(actor, trainings)
    return Shown(_model(actor, clinics), trainings)


def _model(actor: User, clinics: Sequence[User]) -> GlobalModel:
    """Nine versions, one of them pinned, each tested by every clinic."""
    model: GlobalModel = make_model(
        actor, name="blood cells", weights=pickled_linear(0.0), description="", input_shape=[None, 3], round=8
    )
    for number in range(1, 9):
        append_version(model, store_weights(pickled_linear(0.1 * number)))
    model.versions.filter(number=5).update(name="shown to the clinics", pinned=True)
    draw = random.Random(3)
    for version in model.versions.all():
        reached = 1 - math.exp(-version.number / 3)
        for clinic in clinics:
            for key, value in (("accuracy", 0.34 + 0.6 * reached), ("loss", 1.1 - 0.9 * reached)):
                given = {"reporter": clinic, "version": version, "step": version.number, "is_test": True}
                make_metric(model, key, value + draw.gauss(0, 0.015), **given)
    return model


def _training(actor: User, clinics: Sequence[User], method: str) -> Training:
    """Twenty rounds of a method. Median's failed in the eighth."""
    limit, pace = METHODS[method]
    rounds = 8 if method == "Median" else 20
    model = make_model(actor, name=f"cells, {method}", round=rounds)
    options = {"round_deadline": 600, "mu": 0.1} if method == "FedProx" else {"round_deadline": 600}
    rest: dict[str, Any] = {
        "aggregation_method": method,
        "options": options,
        "first_round": 0,
        "target_num_updates": 20,
    }
    rest |= {"aggregation_method": method, "state": "E" if rounds < 20 else "C"}
    training = make_training(actor, clinics, model=model, **rest)
    draw = random.Random(method)
    began = timezone.now() - rounds * ROUND
    for number in range(1, rounds + 1):
        opened, closed = began + (number - 1) * ROUND, began + number * ROUND
        make_round(training, number=number - 1, opened_at=opened, closed_at=closed, outcome="closed")
        for clinic in clinics:
            make_submission(training, clinic, round=number - 1)
            reached = 1 - math.exp(-number / pace)
            accuracy = 0.34 + (limit - 0.34) * reached + draw.gauss(0, 0.01)
            make_metric(model, "accuracy", accuracy, reporter=clinic, step=number)
            make_metric(model, "loss", 1.1 - 0.9 * reached + draw.gauss(0, 0.02), reporter=clinic, step=number)
    if rounds < 20:
        make_round(training, number=rounds)
        reason = "At the deadline 1 of 3 participants had submitted."
        make_event(training, EventKind.FAILED, round=rounds, message=reason)
    return training


def _alert_rules(actor: User, trainings: Sequence[Training]) -> None:
    """One that told of the failure, one that couldn't, and one by e-mail that is switched off."""
    hook = "https://chat.example.org/hooks/1"
    told = make_alert_rule(actor, "failed", url=hook, last_message_at=timezone.now())
    failed = trainings[-1]
    text = "Training “cells, Median” failed in round 8: At the deadline 1 of 3 participants had submitted."
    make_alert(told, failed, text, sent_at=timezone.now())
    make_alert_rule(actor, "waiting", url="https://pager.example.org/fl", failures=3, last_error="It answered 401.")
    make_alert_rule(actor, "finished", channel="email", url="", active=False)
