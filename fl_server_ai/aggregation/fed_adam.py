from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from pydantic import Field

from fl_server_ai.aggregation.base import Array
from fl_server_ai.aggregation.fed_avg import MeanAggregation
from fl_server_core.registry import aggregation_methods
from fl_server_core.schema import OptionsSchema


class FedAdamOptions(OptionsSchema):
    """lr: the server's learning rate, η. beta1, beta2: how slowly the moments change. tau: how adaptive it is."""

    lr: float = Field(0.01, gt=0, le=1e6)
    beta1: float = Field(0.9, ge=0, lt=1)
    beta2: float = Field(0.99, ge=0, lt=1)
    tau: float = Field(0.001, gt=0, le=1e6)


@aggregation_methods.register
class FedAdam(MeanAggregation):
    """Adam on the server: Δ is the weighted mean of the updates minus the current model, v begins with τ².

    m ← β₁·m + (1 - β₁)·Δ; v ← β₂·v + (1 - β₂)·Δ²; x ← x + η·m / (√v + τ), without a correction of the bias. For
    floating-point parameters; buffers and everything else take the weighted mean.

    Reddi et al., "Adaptive Federated Optimization", ICLR 2021, Algorithm 2.
    """

    name = "FedAdam"
    title = "FedAdam"
    paper = "Reddi et al., ICLR 2021"
    needs = "one update; keeps a state of twice the parameters' size"
    Options = FedAdamOptions
    options: FedAdamOptions

    def initial_state(self) -> Mapping[str, float]:
        return {"m": 0.0, "v": self.options.tau**2}

    def step(self, current: Array, reduced: Array, state: dict[str, Array]) -> tuple[Array, dict[str, Array]]:
        options = self.options
        delta = reduced - current
        m = options.beta1 * state["m"] + (1 - options.beta1) * delta
        v = options.beta2 * state["v"] + (1 - options.beta2) * delta * delta
        return current + options.lr * m / (np.sqrt(v) + options.tau), {"m": m, "v": v}
