"""Where `MeanAggregation` is imported from by name."""

from fl_server_ai.aggregation.fed_avg import MeanAggregation

__all__ = ["MeanAggregation"]
