from __future__ import annotations

from typing import TYPE_CHECKING

from fl_server_ai.aggregation.base import Aggregation
from fl_server_core.registry import aggregation_methods

if TYPE_CHECKING:
    from fl_server_core.models import Model, Training


def get_aggregation_class(subject: Training | Model | str) -> type[Aggregation]:
    """The class for a method, a training's method, or that of a model's training.

    Raises:
        ValueError: the method is unknown, or the model has no training.
    """
    training = subject if isinstance(subject, str) or hasattr(subject, "aggregation_method") else subject.get_training()
    if training is None:
        raise ValueError(f"{subject} has no training, so no aggregation method.")
    name = str(getattr(training, "aggregation_method", training))
    if name not in aggregation_methods:
        aggregation_methods.load_entry_points()  # where no Django app has done it
    found = aggregation_methods.get(name)
    if found is None or not issubclass(found, Aggregation):
        raise ValueError(f"Unknown aggregation method {name!r}. Known are {', '.join(list(aggregation_methods))}.")
    return found
