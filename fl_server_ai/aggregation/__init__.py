"""How updates become one model. Every module of this package is imported, so that its method registers itself."""

from importlib import import_module
from pkgutil import iter_modules

from fl_server_ai.aggregation.base import Aggregation
from fl_server_ai.aggregation.exceptions import CannotAggregate
from fl_server_ai.aggregation.fed_avg import MeanAggregation
from fl_server_ai.aggregation.files import aggregate_files
from fl_server_ai.aggregation.method import get_aggregation_class

__all__ = ["Aggregation", "CannotAggregate", "MeanAggregation", "aggregate_files", "get_aggregation_class"]

for module in iter_modules(__path__):
    if module.name != "modules":  # imports torch, which the server does without
        import_module(f"{__name__}.{module.name}")
