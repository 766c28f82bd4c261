from __future__ import annotations

import numpy as np
from pydantic import Field

from fl_server_ai.aggregation.base import Array
from fl_server_ai.aggregation.exceptions import CannotAggregate
from fl_server_ai.aggregation.fed_avg import MeanAggregation
from fl_server_core.registry import aggregation_methods
from fl_server_core.schema import OptionsSchema


class MultiKrumOptions(OptionsSchema):
    """byzantine: how many of n updates may be hostile, f; None: as many as can be, (n - 3) / 2 rounded down.

    keep: how many updates are averaged; None: n - f - 2.
    """

    byzantine: int | None = Field(None, ge=0, le=10**6)
    keep: int | None = Field(None, ge=1, le=10**6)


@aggregation_methods.register
class MultiKrum(MeanAggregation):
    """The plain mean of the updates that lie closest to others, whatever the sample sizes.

    Blanchard et al., "Machine Learning with Adversaries: Byzantine Tolerant Gradient Descent", NeurIPS 2017, Sections 3
    and 6: the score of an update is the sum of the squared distances to its n - f - 2 nearest others; those with the
    smallest scores are averaged. The distances are those of the parameters.
    """

    name = "MultiKrum"
    title = "Multi-Krum"
    paper = "Blanchard et al., NeurIPS 2017"
    needs = "2·byzantine + 3 updates, at least 3, and as many as keep"
    Options = MultiKrumOptions
    options: MultiKrumOptions

    def check_count(self, count: int) -> None:
        present = "there is 1" if count == 1 else f"there are {count}"
        needed = 2 * self._byzantine(count) + 3
        if count < needed:
            raise CannotAggregate(f"{self.title} needs at least {needed} updates; {present}.")
        if self.options.keep is not None and count < self.options.keep:
            raise CannotAggregate(f"{self.title} cannot keep {self.options.keep} updates: {present}.")

    def select(self, distances: Array, weights: Array) -> Array:
        count = len(weights)
        nearest = count - self._byzantine(count) - 2
        others = distances + np.diag(np.full(count, np.inf))
        scores = np.sort(others, axis=1)[:, :nearest].sum(axis=1)
        chosen = np.zeros(count)
        chosen[np.argsort(scores, kind="stable")[: self.options.keep or nearest]] = 1
        return chosen

    def _byzantine(self, count: int) -> int:
        return max(0, (count - 3) // 2) if self.options.byzantine is None else self.options.byzantine
