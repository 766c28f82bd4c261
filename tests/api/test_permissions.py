"""The table of who may do what, played over real requests, and its page in the docs."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import torch
from django.contrib.auth.models import Group, Permission
from django.db import transaction
from rest_framework.test import APIClient

from fl_server_api.urls import urlpatterns
from fl_server_core.models import Delivery, EventKind, GlobalModel, SWAGModel, User
from fl_server_core.services.participants import leave_training
from fl_server_core.services.trainings import start_training
from tests.api.permissions import CALLS, PEOPLE, Call, page
from tests.builders.clients import client_of, make_staff
from tests.builders.files import saved_vector, scripted, scripted_linear, uploaded
from tests.builders.rounds import mark_failed, open_round_as
from tests.builders.rows import (
    make_alert_rule,
    make_event,
    make_metric,
    make_model,
    make_token,
    make_training,
    make_training_invitation,
    make_update,
    make_user,
)
from tests.builders.storage import body_of
from tests.documents import REPOSITORY

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


class Scene:
    """A training with all the people of the table, and what they ask for, by the names that the table has for it."""

    def __init__(self, state: str) -> None:
        flagged = {"actor", "owner"}
        self.people: dict[str, User | None] = {"anonymous": None}
        for name in list(PEOPLE)[1:-3]:
            self.people[name] = make_user(name, actor=name in flagged)
        self.people["staff"] = make_user("staff", is_staff=True)
        self.people["clerk"] = make_staff("clerk")
        self.people["superuser"] = make_user("superuser", is_superuser=True)
        actor, owner = self.user("actor"), self.user("owner")
        kind = SWAGModel if state == "swag" else GlobalModel
        model = make_model(owner, kind, preprocessing=scripted(torch.nn.Identity()), input_shape=[None, 3])
        present = [self.user(name) for name in ("participant", "other", "former")]
        training = make_training(actor, present, model, uncertainty_method="SWAG" if state == "swag" else "NONE")
        leave_training(training_id=training.pk, user=self.user("former"))
        make_training_invitation(training, self.user("invited"))
        elsewhere = make_training(make_user("another-actor"), [self.user("elsewhere")])
        if state != "initial":
            start_training(training_id=training.pk, user=actor)
        if state == "failed":
            make_event(training, EventKind.FAILED)
            mark_failed(training)
        if state == "swag":
            open_round_as(training, "swag")
        update = make_update(model, self.user("participant"))
        passed = make_update(model, self.user("participant"), passed_to=self.user("other"))
        self.ward, self.operators = (Group.objects.create(name=name) for name in ("ward", "operators"))
        self.operators.permissions.add(Permission.objects.all()[0])
        self.user("participant").groups.set([self.ward, self.operators])
        Delivery.objects.exclude(notification_type="UPDATE_ROUND_START", receiver=self.user("participant")).delete()
        notification = Delivery.objects.first()
        if state == "swag":  # what is passed on belongs to rounds of updates
            passed.delete()
        self.names = {
            "model": str(model.pk),
            "update": str(update.pk),
            "passed": str(passed.pk),
            "other-model": str(elsewhere.model_id),
            "training": str(training.pk),
            "another": str(elsewhere.pk),
            "ward": str(self.ward.pk),
            "operators": str(self.operators.pk),
            "metric": str(make_metric(model).pk),
            "notification": str(notification.uuid) if notification else "",
            "user": str(self.user("stranger").pk),
            "kind": "none",
            "alert": str(make_alert_rule(self.user("participant")).pk),
            "token": str(make_token(self.user("participant")).pk),
        }

    def user(self, name: str) -> User:
        user = self.people[name]
        assert user is not None
        return user

    def body(self, call: Call) -> dict[str, Any]:
        """What is sent with a call: the arguments of the client's method."""
        file = {"model_file": uploaded(scripted_linear(2.0))}
        update = {"round": 0, "sample_size": 1}
        forms: dict[str, dict[str, Any]] = {
            "POST models/": {"name": "new", "description": "new", **file},
            "POST models/{model}/": {**update, **file},
            "POST models/{model}/swag/": {
                **update,
                "first_moment_file": uploaded(saved_vector(*[1.0] * 8)),
                "second_moment_file": uploaded(saved_vector(*[2.0] * 8)),
            },
            "POST models/{model}/preprocessing/": {"model_preprocessing_file": uploaded(scripted_linear())},
            "POST models/{model}/metrics/": {"metric_names": "loss", "metric_values": "1"},
            "POST models/{update}/metrics/": {"metric_names": "loss", "metric_values": "1"},
        }
        bodies: dict[str, dict[str, Any]] = {
            "POST users/": {"username": "new", "password": "correct horse battery staple"},
            "PATCH users/myself/": {"trusted_actors": "everyone"},
            "POST users/myself/tokens/": {"name": "robot", "scopes": ["read"]},
            "POST users/myself/alerts/": {"condition": "failed", "channel": "webhook", "url": "http://chat:8065/"},
            "PATCH users/myself/alerts/{alert}/": {"active": False},
            "POST groups/": {"name": "new"},
            "PUT groups/{ward}/": {"name": "new"},
            "PUT groups/{operators}/": {"name": "new"},
            "PATCH groups/{ward}/": {"name": "new"},
            "PATCH groups/{operators}/": {"name": "new"},
            "PATCH models/{model}/versions/0/": {"pinned": True},
            "POST inference/": {"model_id": self.names["model"], "model_input": [[1.0, 2.0, 3.0]]},
            "POST trainings/": {
                "model_id": self.names["model"],
                "target_num_updates": 1,
                "metric_names": [],
                "aggregation_method": "FedAvg",
            },
            "PUT trainings/{training}/clients/": {"clients": [self.names["user"]]},
            "DELETE trainings/{training}/clients/": {"clients": [str(self.user("other").pk)]},
            "POST trainings/{training}/rounds/{kind}/": {"round": 0, "sample_size": 1, "content": {}},
            "POST notifications/{notification}/ack/": {"accept": True},
        }
        name = f"{call.method} {call.path}"
        if name in forms:
            return {"data": forms[name], "format": "multipart"}
        return {"data": bodies.get(name, {}), "format": "json"} if call.method != "GET" else {}

    def ask(self, call: Call, client: APIClient) -> str:
        """The cell of the table that an answer makes."""
        address = "/api/" + call.path.format(**self.names)
        answer: Any = getattr(client, call.method.lower())(address, **self.body(call))
        content = body_of(answer) if answer.streaming else answer.content
        if answer.headers.get("Content-Type") == "application/json":
            content = json.loads(content)
        if answer.status_code != 200 or not isinstance(content, list):
            return str(answer.status_code)
        return self._in_words(call, content)

    def _in_words(self, call: Call, rows: list[dict[str, Any]]) -> str:
        if call.path == "users/":
            return "all" if len(rows) == User.objects.count() else str(len(rows))
        if call.path.endswith("history/"):
            return "+".join(row["kind"] for row in rows if row["kind"] == "started")
        if call.path.endswith("versions/"):
            return "+".join(str(row["version"]) for row in rows)
        if call.path.endswith("tokens/"):
            return "+".join(row["name"].split()[0].lower() for row in rows)
        # The ids of groups and metrics are numbers: each kind is looked up among its own.
        kinds = {"groups/": ("ward", "operators"), "metrics/": ("metric",)}
        own = next((names for tail, names in kinds.items() if call.path.endswith(tail)), None)
        others = [name for name in self.names if name not in ("ward", "operators", "metric")]
        known = {self.names[name]: name for name in own or others}
        key = "training" if call.path == "users/invitations/" else "id"
        return "+".join(known.get(str(row[key]), "unknown") for row in rows) or "-"


@pytest.mark.django_db
@pytest.mark.parametrize("call", CALLS, ids=str)
def test_each_person_gets_what_the_table_says(call: Call, settings: Any) -> None:
    settings.FL_ENROLMENT, settings.FL_ACTORS = "consent", "flagged"
    scene = Scene(call.state)
    answers = {}
    for name, user in scene.people.items():
        with transaction.atomic():
            answers[name] = scene.ask(call, client_of(user))
            transaction.set_rollback(True)  # the next one finds the scene as it was
    assert answers == call.expected


def test_every_call_of_the_api_is_in_the_table() -> None:
    asked = {(call.method, re.sub(r"{\w+}|\b0\b", "{}", call.path)) for call in CALLS}
    offered = set()
    for one in urlpatterns:
        path = re.sub(r"<[^>]+>", "{}", str(one.pattern))
        view: Any = getattr(one.callback, "view_class", None) or getattr(one.callback, "cls", None)
        if path:
            offered |= {(method, path) for method in METHODS if hasattr(view, method.lower())}
    assert asked == offered


def test_the_page_in_the_docs_is_the_table() -> None:
    assert (REPOSITORY / "docs" / "permissions.md").read_text(encoding="utf-8") == page()
