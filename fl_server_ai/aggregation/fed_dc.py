from __future__ import annotations

from fl_server_ai.aggregation.mean import MeanAggregation


class FedDC(MeanAggregation):
    """FedDC's averaging of every p-th round; in the rounds between, the trainer passes the models on.

    Kamp, Fischer and Vreeken, "Federated Learning from Small Datasets", ICLR 2023, Algorithm 1.
    """
