from fl_server_ai.aggregation.base import Aggregation
from fl_server_ai.aggregation.fed_dc import FedDC
from fl_server_ai.aggregation.fed_prox import FedProx
from fl_server_ai.aggregation.mean import MeanAggregation
from fl_server_ai.aggregation.method import get_aggregation_class

__all__ = ["Aggregation", "FedDC", "FedProx", "MeanAggregation", "get_aggregation_class"]
