from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from django.apps import apps
from django.contrib.contenttypes.models import ContentType
from django.test import Client
from rest_framework.test import APIClient

from fl_server_core.models import GlobalModel, Training, User
from fl_server_core.services.trainings import start_training
from tests.builders.clients import client_of, make_staff, operator_browser
from tests.builders.files import scripted_linear
from tests.builders.rows import make_model, make_training, make_user
from tests.builders.storage import make_newer


@dataclass
class Person:
    user: User
    client: APIClient

    @property
    def id(self) -> str:
        return str(self.user.pk)


@dataclass
class People:
    actor: Person
    participant: Person
    outsider: Person
    staff: Person
    """With every permission."""
    nobody: APIClient


@pytest.fixture
def people(db: None) -> People:
    # Looked up once a process: the first test that counts statements would count these too.
    ContentType.objects.get_for_models(*apps.get_models())

    def person(name: str, make: Callable[[str], User] = make_user) -> Person:
        user = make(name)
        return Person(user, client_of(user))

    return People(person("actor"), person("participant"), person("outsider"), person("staff", make_staff), client_of())


@pytest.fixture
def operator(db: None) -> Client:
    """A client in which a superuser is signed in."""
    return operator_browser()


@pytest.fixture
def model(people: People) -> GlobalModel:
    """The actor's model, on which the participant trains."""
    model: GlobalModel = make_model(people.actor.user, input_shape=[None, 3])
    return model


@pytest.fixture
def training(people: People, model: GlobalModel) -> Training:
    """The actor's training, not yet started, with one participant."""
    return make_training(people.actor.user, [people.participant.user], model)


@pytest.fixture
def running(training: Training) -> Training:
    """The same, in its first round."""
    start_training(training_id=training.pk, user=training.actor)
    training.refresh_from_db()
    return training


@pytest.fixture
def ten(model: GlobalModel, training: Training) -> GlobalModel:
    """The actor's model with versions 0 to 9, of which each holds its number, but the first 1."""
    for number in range(1, 10):
        make_newer(model, scripted_linear(float(number)), round=number)
    model.refresh_from_db()
    return model
