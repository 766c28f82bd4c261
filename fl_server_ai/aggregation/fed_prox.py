from __future__ import annotations

from fl_server_ai.aggregation.fed_avg import MeanAggregation
from fl_server_core.registry import aggregation_methods


@aggregation_methods.register
class FedProx(MeanAggregation):
    """FedProx on the server's side: the weighted mean; the proximal term (mu/2)·‖w − w_global‖² is the participants'.

    Li et al., "Federated Optimization in Heterogeneous Networks", MLSys 2020, Algorithm 2.
    """

    name = "FedProx"
    title = "FedProx"
    paper = "Li et al., MLSys 2020"
