from __future__ import annotations

import numpy as np

from fl_server_ai.aggregation.base import Aggregation, Array
from fl_server_core.registry import aggregation_methods


@aggregation_methods.register
class MeanAggregation(Aggregation):
    """The mean of the models, weighted by sample size.

    McMahan et al., "Communication-Efficient Learning of Deep Networks from Decentralized Data", AISTATS 2017,
    Algorithm 1: w = Σ_k (n_k / n) w_k, here for buffers too. Summed in the given order, one operation after the other,
    so that equal input gives bitwise equal output.
    """

    name = "FedAvg"
    title = "FedAvg"
    paper = "McMahan et al., AISTATS 2017"
    is_stacking = False

    def reduce(self, block: Array, weights: Array) -> Array:
        total: Array = np.zeros_like(block[0])
        product = np.empty_like(total)
        for row, weight in zip(block, weights.tolist(), strict=True):
            if weight:  # else 0 times infinity
                np.multiply(row, weight, out=product)
                np.add(total, product, out=total)
        return total
