"""`manage.py create_large_training`."""

from __future__ import annotations

import io

import pytest
from django.core.management import CommandError, call_command

from fl_server_core.models import Metric, Round, Training, User
from fl_server_core.selectors.curves import metric_curves
from fl_server_core.selectors.readers import TrainingReader
from fl_server_core.selectors.update_figures import figure_spreads

pytestmark = pytest.mark.django_db


def test_it_makes_a_training_that_pages_can_show() -> None:
    out = io.StringIO()
    call_command("create_large_training", "--participants", "3", "--rounds", "4", stdout=out)
    training = Training.objects.get()
    assert str(training.pk) in out.getvalue()
    assert (training.participants.count(), Metric.objects.count()) == (3, 3 * 4 * 2)
    assert Round.objects.filter(outcome="closed").count() == 4
    assert Round.objects.filter(closed_at=None).count() == 1
    assert {curve.key: len(curve.points) for curve in metric_curves(training, training.actor)} == {
        "accuracy": 4,
        "loss": 4,
    }
    spreads = figure_spreads(training, TrainingReader(training, training.actor))
    assert {figure: len(found) for figure, found in spreads.items()} == {"norm": 4, "cosine": 4}


def test_it_makes_no_second_one_and_nothing_without_anybody() -> None:
    with pytest.raises(CommandError, match="at least one participant"):
        call_command("create_large_training", "--participants", "0")
    User.objects.create_user("large-actor")
    with pytest.raises(CommandError, match="already"):
        call_command("create_large_training")
    assert not Training.objects.exists()
