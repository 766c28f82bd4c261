"""What an account may own."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.files.storage import default_storage
from pytest_django import Settings

from fl_server_core.exceptions import BudgetSpent, LargerThanBudget
from fl_server_core.models import GlobalModel, LocalModel, Metric, ModelVersion, StoredFile, Training, User
from fl_server_core.selectors.budgets import owned_by
from fl_server_core.services import budgets
from fl_server_core.services.metrics import report_metrics
from fl_server_core.services.models import create_global_model, create_mean_model, delete_model, set_preprocessing
from fl_server_core.services.trainings import create_training
from fl_server_core.services.versions import restore_version
from tests.builders.files import scripted_linear, uploaded
from tests.builders.rows import make_model, make_training, make_user
from tests.builders.storage import stored_files
from tests.builders.threads import at_once
from tests.builders.world import World

SIZE = len(scripted_linear())


@pytest.fixture(autouse=True)
def bytes_for_megabytes(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    """FL_MAX_STORAGE_MB counts bytes here: a budget of a few models, without files of many megabytes."""
    monkeypatch.setattr(budgets, "MEGABYTE", 1)
    settings.FL_MAX_STORAGE_MB = 10**9


def upload(owner: User, **fields: Any) -> GlobalModel:
    about = {"name": "linear", "description": "", "model_file": uploaded(scripted_linear())}
    return create_global_model(owner=owner, **{**about, **fields})


def train(actor: User, model: GlobalModel, *people: User) -> Training:
    return create_training(
        actor=actor,
        model_id=model.pk,
        target_num_updates=1,
        metric_names=[],
        aggregation_method="FedAvg",
        participant_ids=[person.pk for person in people],
    )


def test_one_model_more_than_the_budget_is_refused_and_leaves_nothing(actor: User, settings: Settings) -> None:
    settings.FL_MAX_MODELS = 2
    first = upload(actor)
    create_mean_model(owner=actor, name="mean", description="", model_ids=[first.pk])
    before = stored_files()
    with pytest.raises(BudgetSpent, match=r"^You have 2 models, and an account may have 2 on this server"):
        upload(actor)
    with pytest.raises(BudgetSpent, match="Delete models that you no longer need"):
        create_mean_model(owner=actor, name="mean", description="", model_ids=[first.pk])
    assert (GlobalModel.objects.filter(owner=actor).count(), stored_files()) == (2, before)
    delete_model(model_id=first.pk, user=actor)
    upload(actor)


def test_the_budget_of_one_account_says_nothing_of_another(actor: User, anna: User, settings: Settings) -> None:
    settings.FL_MAX_MODELS = settings.FL_MAX_TRAININGS = 1
    train(actor, upload(actor), anna)
    train(anna, upload(anna), actor)


def test_zero_is_no_bound(actor: User, settings: Settings) -> None:
    settings.FL_MAX_MODELS = settings.FL_MAX_TRAININGS = settings.FL_MAX_STORAGE_MB = 0
    model = upload(actor)
    assert {train(actor, model).model_id == model.pk for _ in range(2)} == {True, False}


def test_one_training_more_than_the_budget_is_refused(actor: User, settings: Settings) -> None:
    settings.FL_MAX_TRAININGS = 1
    model = upload(actor)
    train(actor, model)
    with pytest.raises(BudgetSpent, match=r"You have 1 trainings.*\(FL_MAX_TRAININGS\)"):
        train(actor, model)
    assert (Training.objects.count(), GlobalModel.objects.count()) == (1, 1)


def test_the_copy_that_a_second_training_makes_is_a_model(actor: User, settings: Settings) -> None:
    settings.FL_MAX_MODELS = 1
    model = upload(actor)
    train(actor, model)
    with pytest.raises(BudgetSpent, match="FL_MAX_MODELS"):
        train(actor, model)


def test_a_file_that_alone_is_too_large_is_told_as_such(actor: User, settings: Settings) -> None:
    settings.FL_MAX_STORAGE_MB = SIZE - 1
    before = stored_files()
    with pytest.raises(LargerThanBudget, match=rf"^The file has {SIZE}\.0 MB, which is more than an account may store"):
        upload(actor)
    assert stored_files() == before


def test_bytes_are_counted_up_to_the_last(actor: User, settings: Settings) -> None:
    settings.FL_MAX_STORAGE_MB = 2 * SIZE
    first = upload(actor)
    set_preprocessing(model_id=first.pk, user=actor, file=uploaded(scripted_linear()))
    before = stored_files()
    with pytest.raises(BudgetSpent) as refusal:
        upload(actor)
    assert f"of {2 * SIZE} MB (FL_MAX_STORAGE_MB), 0 bytes are free, and this needs {SIZE}.0 MB." in str(refusal.value)
    assert stored_files() == before
    # The one that is replaced makes room.
    set_preprocessing(model_id=first.pk, user=actor, file=uploaded(scripted_linear(2.0)))
    delete_model(model_id=first.pk, user=actor)
    upload(actor)


def test_a_file_that_many_rows_name_counts_once(actor: User, settings: Settings) -> None:
    settings.FL_MAX_STORAGE_MB = 2 * SIZE
    model = upload(actor)
    for _ in range(3):
        train(actor, model)
    restore_version(model_id=model.pk, number=0, user=actor)
    assert (GlobalModel.objects.count(), ModelVersion.objects.count()) == (3, 4)
    assert len(owned_by(actor).files) == 1
    upload(actor)


def test_a_version_that_is_no_longer_kept_does_not_count(actor: User) -> None:
    model = upload(actor)
    restore_version(model_id=model.pk, number=0, user=actor)
    ModelVersion.objects.update(weights_file="")
    assert owned_by(actor).files == frozenset()


def test_a_participants_updates_count_and_a_repeat_replaces_the_first(settings: Settings, db: None) -> None:
    world = World(2).start()
    world.update(0, 1.0)
    [size] = [default_storage.size(name) for name in owned_by(world.people[0]).files]
    settings.FL_MAX_STORAGE_MB = size
    world.update(0, 2.0)
    upload_of = LocalModel.objects.get()
    make_model(world.people[1])
    with pytest.raises(BudgetSpent, match="If a round waits for this upload, send it again once there is room"):
        world.update(1, 2.0)
    assert list(LocalModel.objects.all()) == [upload_of]
    GlobalModel.objects.filter(owner=world.people[1]).delete()
    world.update(1, 2.0)


def test_what_a_round_makes_counts_but_is_not_refused(settings: Settings, db: None) -> None:
    settings.FL_KEEP_VERSIONS = 5
    world = World(1).start()
    [size] = [default_storage.size(name) for name in owned_by(world.actor).files]
    settings.FL_MAX_STORAGE_MB = size * 2 - 1
    world.update(0, 1.0)
    world.advance()
    assert len(owned_by(world.actor).files) == 2
    with pytest.raises(BudgetSpent):
        upload(world.actor)


def test_values_of_metrics_that_are_no_numbers_count(actor: User, settings: Settings) -> None:
    model = upload(actor)
    settings.FL_MAX_STORAGE_MB = SIZE + 10
    report_metrics(model_id=model.pk, reporter=actor, metrics=[("curve", b"x" * 10), ("loss", "0.5")])
    with pytest.raises(BudgetSpent):
        report_metrics(model_id=model.pk, reporter=actor, metrics=[("curve", b"x")])
    report_metrics(model_id=model.pk, reporter=actor, metrics=[("loss", "0.25")])


def test_values_of_metrics_are_named_as_what_fills_the_storage(actor: User, settings: Settings) -> None:
    model = upload(actor)
    settings.FL_MAX_STORAGE_MB = SIZE + 1
    with pytest.raises(BudgetSpent) as refusal:
        report_metrics(model_id=model.pk, reporter=actor, metrics=[("curve", b"xx")])
    assert f"of {SIZE + 1} MB (FL_MAX_STORAGE_MB), 1 bytes are free, and this needs 2 bytes." in str(refusal.value)
    assert "2 bytes are values of metrics. You can delete those that you reported" in str(refusal.value)
    assert not Metric.objects.exists()


def test_one_metric_more_than_the_budget_is_refused_and_leaves_nothing(
    actor: User, anna: User, settings: Settings
) -> None:
    model = upload(actor)
    settings.FL_MAX_METRICS = 3
    report_metrics(model_id=model.pk, reporter=actor, metrics=[("loss", "1"), ("loss", "2")])
    with pytest.raises(BudgetSpent, match="You have reported 2 metrics, and an account may report 3"):
        report_metrics(model_id=model.pk, reporter=actor, metrics=[("loss", "3"), ("loss", "4")])
    report_metrics(model_id=model.pk, reporter=actor, metrics=[("loss", "3")])
    report_metrics(model_id=upload(anna).pk, reporter=anna, metrics=[("loss", "1")] * 3)
    assert Metric.objects.count() == 6
    settings.FL_MAX_METRICS = 0
    report_metrics(model_id=model.pk, reporter=actor, metrics=[("loss", "4")])


def test_sizes_are_written_down_and_go_with_their_files(actor: User, django_capture_on_commit_callbacks: Any) -> None:
    model = upload(actor)
    assert [row.size for row in StoredFile.objects.all()] == [SIZE]
    with django_capture_on_commit_callbacks(execute=True):
        delete_model(model_id=model.pk, user=actor)
    assert not StoredFile.objects.exists()


def test_a_file_that_nobody_measured_yet_is_measured_and_one_that_is_lost_counts_nothing(
    actor: User, settings: Settings
) -> None:
    lost, kept = make_model(actor), make_model(actor)
    default_storage.delete(str(lost.weights_file.name))
    settings.FL_MAX_STORAGE_MB = 2 * SIZE
    upload(actor)
    assert set(StoredFile.objects.filter(name=kept.weights_file.name).values_list("size", flat=True)) == {SIZE}
    with pytest.raises(BudgetSpent):
        upload(actor)


@pytest.mark.django_db(transaction=True)
def test_of_two_uploads_at_once_only_as_many_pass_as_there_is_room_for(settings: Settings) -> None:
    settings.FL_MAX_STORAGE_MB = 3 * SIZE
    actor = make_user()

    def try_to_upload() -> bool:
        try:
            upload(actor)
        except BudgetSpent:
            return False
        return True

    assert sum(at_once(*[try_to_upload] * 6)) == 3
    assert GlobalModel.objects.filter(owner=actor).count() == 3


@pytest.mark.django_db(transaction=True)
def test_actors_who_enrol_each_other_at_the_same_moment_do_not_wait_for_each_other_for_ever() -> None:
    people = [make_user(), make_user()]
    models = [make_model(person) for person in people]

    def train_with_the_other(number: int) -> Training:
        return train(people[number], models[number], people[1 - number])

    for _ in range(5):
        at_once(lambda: train_with_the_other(0), lambda: train_with_the_other(1))
    assert Training.objects.count() == 10
    assert make_training(people[0]).pk


def test_a_training_of_an_own_model_adds_no_model(actor: User, settings: Settings) -> None:
    model = upload(actor)
    upload(actor)
    settings.FL_MAX_MODELS = 1  # lowered since
    train(actor, model)
