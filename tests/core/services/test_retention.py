"""What the settings for retention remove, and what they leave."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import Model as Row
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from fl_server_core.models import AccessToken, AuditEntry, Event, LocalModel, Metric, Submission, Training
from fl_server_core.selectors.expendable import RETENTIONS, old_metrics
from fl_server_core.services import retention
from fl_server_core.services.retention import purge_all, remove_rows
from tests.builders.rows import make_event, make_metric, make_token, make_user
from tests.builders.storage import weight_files
from tests.builders.world import World

pytestmark = pytest.mark.django_db
LONG_AGO = timedelta(days=20)
OPTIONS = {"skip_model_tests": True, "delete_local_models_after_aggregation": False}
SETTINGS = [one.setting for one in RETENTIONS if one.setting]


def make_old(model: type[Row], column: str) -> None:
    model._base_manager.update(**{column: timezone.now() - LONG_AGO})


def purged() -> dict[str, int]:
    return {noun: number for noun, number in purge_all() if number}


@pytest.fixture
def finished() -> World:
    """Of a training that has ended: two updates with a metric each, a metric of the model, events."""
    world = World(2, target_num_updates=1, options=OPTIONS).start()
    for who in range(2):
        world.update(who, float(who))
    world.advance()
    assert world.state[0] == "C"
    for model in (world.model, *LocalModel.objects.all()):
        make_metric(model)
    return world


@pytest.fixture
def running(finished: World) -> World:
    """Another one of the same people, which is not over."""
    world = World(like=finished, target_num_updates=2).start()
    world.update(0, 1.0)
    make_metric(world.model)
    return world


@pytest.fixture(autouse=True)
def _thirty_days_each(settings: Settings) -> None:
    for name in SETTINGS:
        setattr(settings, name, 30)


def test_by_default_nothing_of_a_training_goes_however_old_it_is(settings: Settings) -> None:
    from fl_server.settings import base

    defaults = {name: getattr(base, name) for name in SETTINGS}
    assert {name for name, days in defaults.items() if days} == {
        *("FL_KEEP_DELIVERIES_DAYS", "FL_KEEP_ALERTS_DAYS", "FL_KEEP_TOKENS_DAYS")
    }


def test_of_a_finished_training_what_is_older_goes_with_its_files_and_nothing_of_one_that_runs(
    finished: World,
    running: World,
    settings: Settings,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    make_event(finished.training)
    for model, column in ((Metric, "created_at"), (Event, "at"), (Training, "last_update")):
        make_old(model, column)
    assert purged() == {}  # twenty days old, thirty are kept
    files, events = weight_files(), running.training.events.count()
    assert len(files) == 6  # three versions and three updates
    for name in SETTINGS:
        setattr(settings, name, 10)
    with django_capture_on_commit_callbacks(execute=True):
        gone = purged()
    assert (gone["updates"], gone["metrics"]) == (2, 3)
    assert finished.training.events.count() == 0
    assert running.training.events.count() == events
    assert list(Metric.objects.values_list("model", flat=True)) == [running.model.pk]
    assert list(LocalModel.objects.values_list("base_model", flat=True)) == [running.model.pk]
    assert len(weight_files()) == 4
    assert Submission.objects.filter(round__training=finished.training).count() == 2  # who took part is still known
    notes = AuditEntry.objects.filter(verb="purge").values_list("object_kind", "details")
    assert ("updates", {"rows": 2, "days": 10}) in list(notes)
    assert purged() == {}


def test_a_finished_training_that_was_touched_lately_keeps_everything(finished: World, settings: Settings) -> None:
    for model, column in ((Metric, "created_at"), (Event, "at")):
        make_old(model, column)
    settings.FL_KEEP_UPDATES_DAYS = settings.FL_KEEP_METRICS_DAYS = settings.FL_KEEP_EVENTS_DAYS = 10
    assert not {"updates", "metrics"} & purged().keys()
    assert finished.training.events.exists()


def test_tokens_go_long_after_they_have_expired_and_api_tokens_never(settings: Settings) -> None:
    user = make_user()
    old = make_token(user, "old", expires_at=timezone.now() - LONG_AGO)
    make_token(user, "expired", expires_at=timezone.now() - timedelta(days=1))
    make_token(user, "for ever")
    settings.FL_KEEP_TOKENS_DAYS = 0
    assert purged() == {}
    settings.FL_KEEP_TOKENS_DAYS = 10
    assert purged() == {"expired tokens": 1}
    assert AccessToken.objects.filter(user=user).count() == 3
    assert not AccessToken.objects.filter(pk=old.pk).exists()


def test_more_rows_than_one_run_takes_go_in_small_transactions_and_the_rest_later(
    finished: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = finished.model
    Metric.objects.bulk_create([Metric(model=model, key="loss", value_float=1.0) for _ in range(2500)], batch_size=90)
    make_old(Metric, "created_at")
    make_old(Training, "last_update")
    rows = old_metrics(timezone.now() - timedelta(days=10))
    monkeypatch.setattr(retention, "BATCH", 1100)  # more than SQLite takes parameters in one statement
    with CaptureQueriesContext(
        connection,
    ) as statements:
        assert remove_rows(rows, at_most=2000) == 2000
    assert len([one for one in statements if "SAVEPOINT" in one["sql"] and "RELEASE" not in one["sql"]]) == 2
    assert remove_rows(rows) == 503
    assert not Metric.objects.exists()
