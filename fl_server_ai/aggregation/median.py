from __future__ import annotations

from fl_server_ai.aggregation.base import Aggregation, Array
from fl_server_core.registry import aggregation_methods


@aggregation_methods.register
class Median(Aggregation):
    """The median of each element, whatever the sample sizes: it stands as long as most updates are honest.

    Yin et al., "Byzantine-Robust Distributed Learning: Towards Optimal Statistical Rates", ICML 2018, Algorithm 1,
    Option I. Of an even number of updates, the mean of the two in the middle.
    """

    name = "Median"
    title = "Coordinate-wise median"
    paper = "Yin et al., ICML 2018"
    is_ordering = True
    is_weighted = False

    def reduce(self, block: Array, weights: Array) -> Array:  # noqa: ARG002  unweighted
        block.sort(axis=0)
        count = len(block)
        if count % 2:
            alone: Array = block[count // 2]
            return alone
        # Halved before they are added: two huge values do not overflow.
        middle: Array = block[(count - 1) // 2] * 0.5 + block[count // 2] * 0.5
        return middle
