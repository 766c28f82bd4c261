"""Event files of a training, read by TensorBoard's own reader."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from fl_server_core.models import Metric, Training
from tests.builders.rows import make_metric, make_user

Curves = dict[str, dict[str, list[tuple[int, float]]]]


def curves(folder: Path) -> Curves:
    """By folder and key, the steps and values of all event files."""
    found: Curves = {}
    for path in {file.parent for file in folder.rglob("events.out.tfevents.*")}:
        reader: Any = EventAccumulator(str(path), size_guidance={"scalars": 0}).Reload()
        name = str(path.relative_to(folder))
        found[name] = {
            key: [(event.step, event.value) for event in reader.Scalars(key)] for key in reader.Tags()["scalars"]
        }
    return found


def export(training: Training, folder: Path) -> Curves:
    call_command("export_tensorboard", str(training.pk), logdir=folder, verbosity=0)
    return curves(folder / str(training.pk))


def test_each_participant_and_the_mean_have_curves(training: Training, tmp_path: Path) -> None:
    assert export(training, tmp_path) == {
        "mean": {"accuracy": [(1, 0.375), (2, 0.875)], "update/loss": [(2, 1.5)]},
        "participants/anna": {"accuracy": [(1, 0.25), (2, 0.75)], "update/loss": [(2, 1.5)]},
        "participants/%2E%2E": {"accuracy": [(1, 0.5), (2, 1.0)]},
        "participants/actor": {"accuracy": [(2, 0.0)]},
    }


def test_the_times_are_those_of_the_reports(training: Training, tmp_path: Path) -> None:
    export(training, tmp_path)
    reader: Any = EventAccumulator(str(tmp_path / str(training.pk) / "participants" / "anna")).Reload()
    first = Metric.objects.filter(key="accuracy").earliest("id")
    assert reader.Scalars("accuracy")[0].wall_time == pytest.approx(first.created_at.timestamp())


def test_a_second_export_replaces_the_first_and_leaves_other_files(training: Training, tmp_path: Path) -> None:
    first = export(training, tmp_path)
    own = tmp_path / str(training.pk) / "mean" / "notes.txt"
    own.write_text("mine")
    assert export(training, tmp_path) == first
    make_metric(training.model, "accuracy", 0.5, reporter=make_user("cleo"), step=3)
    assert export(training, tmp_path)["mean"]["accuracy"] == [(1, 0.375), (2, 0.875), (3, 0.5)]
    assert own.read_text() == "mine"


def test_numbers_that_are_not_finite_stay_what_they_are(training: Training, tmp_path: Path) -> None:
    reporter = make_user("cleo")
    for step, special in enumerate(("nan", "inf", "-inf")):
        Metric.objects.create(model=training.model, key="loss", value_special=special, reporter=reporter, step=step)
    values = [value for _step, value in export(training, tmp_path)["mean"]["loss"]]
    assert math.isnan(values[0])
    assert values[1:] == [math.inf, -math.inf]


def test_trainings_must_be_named_and_known(training: Training, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="Name trainings by their ids, or use --all"):
        call_command("export_tensorboard", logdir=tmp_path)
    unknown = "00000000-0000-4000-8000-000000000000"
    with pytest.raises(CommandError, match=f"Training {unknown} not found"):
        call_command("export_tensorboard", unknown, logdir=tmp_path)
    call_command("export_tensorboard", all=True, logdir=tmp_path, verbosity=0)
    assert list(curves(tmp_path / str(training.pk)))


def test_a_folder_that_cannot_be_written_is_told(training: Training, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CommandError, match="The files can't be written"):
        call_command("export_tensorboard", str(training.pk), logdir=tmp_path / "file")
