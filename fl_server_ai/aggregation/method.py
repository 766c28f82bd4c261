from __future__ import annotations

from fl_server_ai.aggregation.base import Aggregation
from fl_server_ai.aggregation.fed_dc import FedDC
from fl_server_ai.aggregation.fed_prox import FedProx
from fl_server_ai.aggregation.mean import MeanAggregation
from fl_server_core.models.model import Model
from fl_server_core.models.training import AggregationMethod, Training

CLASSES: dict[str, type[Aggregation]] = {
    AggregationMethod.FED_AVG: MeanAggregation,
    AggregationMethod.FED_DC: FedDC,
    AggregationMethod.FED_PROX: FedProx,
}


def get_aggregation_class(subject: Training | Model | str) -> type[Aggregation]:
    """The class for a method, a training's method, or that of a model's training.

    Raises:
        ValueError: the method is unknown, or the model has no training.
    """
    training = subject.get_training() if isinstance(subject, Model) else subject
    if training is None:
        raise ValueError(f"{subject} has no training, so no aggregation method.")
    method = training.aggregation_method if isinstance(training, Training) else str(training)
    if method not in CLASSES:
        raise ValueError(f"Unknown aggregation method {method!r}. Known are {', '.join(CLASSES)}.")
    return CLASSES[method]
