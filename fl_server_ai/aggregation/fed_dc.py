from __future__ import annotations

from fl_server_ai.aggregation.fed_avg import MeanAggregation
from fl_server_core.registry import aggregation_methods


@aggregation_methods.register
class FedDC(MeanAggregation):
    """FedDC's averaging of every p-th round; in the rounds between, the models are passed on.

    Kamp, Fischer and Vreeken, "Federated Learning from Small Datasets", ICLR 2023, Algorithm 1.
    """

    name = "FedDC"
    title = "FedDC"
    paper = "Kamp, Fischer and Vreeken, ICLR 2023"
