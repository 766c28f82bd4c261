from __future__ import annotations

import pytest

from fl_server_core.models import Training
from tests.builders.rounds import set_model_round
from tests.builders.rows import make_event, make_metric, make_model, make_training, make_update, make_user


@pytest.fixture
def training(db: None) -> Training:
    """Two rounds of two participants with accuracies, one value that the actor reported, and one that is no number."""
    actor, anna, ben = make_user("actor"), make_user("anna"), make_user("..")
    model = make_model(actor, name="digits")
    options = {"lr": 0.5, "aggregation": {"trim": 0.2}}
    training = make_training(actor, [anna, ben], model, options=options, state="O")
    make_event(training, "started")
    for step, (first, second) in enumerate([(0.25, 0.5), (0.75, 1.0)], start=1):
        make_metric(training.model, "accuracy", first, reporter=anna, step=step)
        make_metric(training.model, "accuracy", second, reporter=ben, step=step)
    make_metric(training.model, "accuracy", 0.0, reporter=actor, step=2)
    make_metric(training.model, "plot", b"no number", reporter=anna, step=2)
    set_model_round(model, 2)
    update = make_update(model, anna)
    make_metric(update, "loss", 1.5, reporter=anna, step=2)
    return training
