"""A database of each released version, with a training in the middle of a round, becomes one of this version."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
import torch
from django.apps.registry import Apps
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from fl_server_ai.notification.network import ADDRESS_REFUSED
from fl_server_ai.trainer import ModelTrainer
from fl_server_core.models import Delivery, Event, GlobalModel, Training, User
from fl_server_core.models.files import new_file_name
from fl_server_core.rounds.kinds import Offer
from fl_server_core.rounds.submitting import submit
from fl_server_core.selectors.rounds import open_round_of
from fl_server_core.services.tokens import api_token_of, find_token
from tests.builders.files import linear, saved, uploaded

pytestmark = pytest.mark.django_db(transaction=True)
RELEASED = ["0001_initial"]
"""The last migration of each release. A release is added here when it is made, with the rows that it knew."""
APP = "fl_server_core"


def migrate(name: str | None) -> Apps:
    """Bring the core's tables to the state after this migration, None: to before the first; the models of then."""
    executor = MigrationExecutor(connection)
    executor.migrate([(APP, name)])
    return executor.loader.project_state([(APP, name)] if name else []).apps


def migrate_to_newest() -> None:
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes())


@pytest.fixture
def _empty_database() -> Iterator[None]:
    """Without the core's tables, and at the end with all of the newest again."""
    migrate(None)
    yield
    migrate_to_newest()


def stored(value: float) -> str:
    name = default_storage.save(new_file_name(None, ""), ContentFile(saved(linear(value))))
    return str(name)


def insert_running_training(apps: Apps) -> UUID:
    """As 0001_initial knew it: in its first round, with the update (1.0) of one of two participants."""
    rows: dict[str, Any] = {model.__name__: model for model in apps.get_app_config(APP).get_models()}
    kinds = apps.get_model("contenttypes", "ContentType").objects
    actor, one, other = (rows["User"].objects.create(username=name) for name in ("actor", "one", "other"))
    model = rows["GlobalModel"].objects.create(
        owner=actor,
        name="linear",
        description="three in, two out",
        polymorphic_ctype=kinds.get_or_create(app_label=APP, model="globalmodel")[0],
    )
    version = rows["ModelVersion"].objects.create(model=model, number=0, round=0, weights_file=stored(0.0))
    rows["GlobalModel"].objects.filter(pk=model.pk).update(current_version=version)
    training = rows["Training"].objects.create(
        id=uuid4(),
        actor=actor,
        model_id=model.pk,
        state="O",
        target_num_updates=2,
        first_round=0,
        options={"skip_model_tests": True},
    )
    training.participants.set([one, other])
    first = rows["Round"].objects.create(
        training=training, number=0, kind="update", phase="update", opened_at=timezone.now()
    )
    update = rows["LocalModel"].objects.create(
        owner=one,
        base_model=model,
        sample_size=1,
        weights_file=stored(1.0),
        polymorphic_ctype=kinds.get_or_create(app_label=APP, model="localmodel")[0],
    )
    rows["Submission"].objects.create(round=first, participant=one, sample_size=1, target=model.pk, local_model=update)
    return UUID(str(training.pk))


@pytest.mark.usefixtures("_empty_database")
@pytest.mark.parametrize("release", RELEASED)
def test_a_training_that_was_running_in_a_release_reaches_its_next_round_after_the_migration(release: str) -> None:
    training_id = insert_running_training(migrate(release))
    migrate_to_newest()
    training = Training.objects.get(pk=training_id)
    other = User.objects.get(username="other")
    files = {"model": uploaded(saved(linear(4.0)))}
    submit(Offer(other, "update", target_id=training.model_id, number=0, sample_size=2, files=files))
    ModelTrainer(training).advance()
    model = GlobalModel.objects.get(pk=training.model_id)
    following = open_round_of(training)
    assert following is not None
    assert (model.round, following.number, following.kind) == (1, 1, "update")
    assert [version.number for version in model.versions.all()] == [0, 1]
    for parameter in model.get_torch_model().parameters():  # (1 · 1.0 + 2 · 4.0) / 3
        torch.testing.assert_close(parameter, torch.full_like(parameter, 3.0))


@pytest.mark.usefixtures("_empty_database")
def test_a_token_that_was_stored_in_clear_stays_valid_and_is_stored_no_more() -> None:
    user = migrate("0001_initial").get_model(APP, "User").objects.create(username="anna")
    key = f"{7:040x}"
    with connection.cursor() as cursor:
        cursor.execute('CREATE TABLE authtoken_token ("key" char(40) PRIMARY KEY, user_id char(36), created char(9))')
        cursor.execute("INSERT INTO authtoken_token VALUES (%s, %s, 'some time')", [key, str(user.pk)])
    migrate_to_newest()
    token = find_token(key)
    assert token is not None
    assert (token.user.username, token.is_api_token) == ("anna", False)
    assert "authtoken_token" not in connection.introspection.table_names()
    assert find_token(api_token_of(token.user)) is not None


@pytest.mark.usefixtures("_empty_database")
def test_what_went_wrong_on_the_way_to_a_participant_moves_from_messages_that_all_participants_read() -> None:
    rows: dict[str, Any] = {
        model.__name__: model for model in migrate("0006_stored_files").get_app_config(APP).get_models()
    }
    anna = rows["User"].objects.create(username="anna")
    refusal = "db.internal (10.0.0.7) is neither a public address nor in FL_NOTIFICATION_ALLOWED_NETWORKS."
    reached = "anna could not be reached with UPDATE_ROUND_START (attempts: 1)"
    rows["Delivery"].objects.create(receiver=anna, training_uuid=uuid4(), last_error=refusal)
    for kind, message in (
        ("delivery_failed", f"{reached}: {refusal}"),
        ("failed", f"{reached}: Status 503."),
        ("failed", "All participants have left."),
        ("participant_rejected", "anna rejected UPDATE_ROUND_START: Status 500."),
    ):
        rows["Event"].objects.create(kind=kind, message=message)
    migrate_to_newest()
    assert list(Event.objects.order_by("id").values_list("message", "figures")) == [
        (f"{reached}.", {"error": ADDRESS_REFUSED}),
        (f"{reached}.", {"error": "Status 503."}),
        ("All participants have left.", {}),
        ("anna rejected UPDATE_ROUND_START.", {"error": "Status 500."}),
    ]
    assert Delivery.objects.get().last_error == ADDRESS_REFUSED
