from __future__ import annotations

from fractions import Fraction

import numpy as np
from pydantic import Field

from fl_server_ai.aggregation.base import Aggregation, Array
from fl_server_core.registry import aggregation_methods
from fl_server_core.schema import OptionsSchema


class TrimmedMeanOptions(OptionsSchema):
    """trim: the fraction of the updates that is cut off at each end of each element's values."""

    trim: float = Field(0.1, ge=0, lt=0.5)


@aggregation_methods.register
class TrimmedMean(Aggregation):
    """The mean of each element without its largest and smallest values, whatever the sample sizes.

    Yin et al., "Byzantine-Robust Distributed Learning: Towards Optimal Statistical Rates", ICML 2018, Algorithm 1,
    Option II.
    """

    name = "TrimmedMean"
    title = "Coordinate-wise trimmed mean"
    paper = "Yin et al., ICML 2018"
    is_ordering = True
    is_weighted = False
    Options = TrimmedMeanOptions
    options: TrimmedMeanOptions

    def reduce(self, block: Array, weights: Array) -> Array:  # noqa: ARG002  unweighted
        count = len(block)
        # The decimal fraction that was meant: 0.29 · 100 is 28.999999999999996.
        cut = int(Fraction(str(self.options.trim)) * count)
        block.sort(axis=0)
        # Divided before they are added: huge values do not overflow.
        mean: Array = np.add.reduce(block[cut : count - cut] / (count - 2 * cut), axis=0)
        return mean
