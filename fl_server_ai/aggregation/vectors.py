from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from fl_server_ai.aggregation.values import normalised
from fl_server_core.archive.blocks import blocks

Array = np.ndarray[Any, Any]

_BLOCK = 1 << 16


def weighted_mean_vectors(vectors: Iterable[Array], weights: Sequence[float]) -> Array:
    """Σ wᵢ·vectorᵢ / Σ wᵢ of vectors of one length, summed in float64; float64 if one of them is, else float32.

    One vector at a time is taken from `vectors`, so that a generator never holds them all. Raises ValueError if
    lengths differ, or the number of weights.
    """
    total: Array | None = None
    dtype = np.dtype(np.float32)
    for vector, share in zip(vectors, normalised(weights, len(weights)), strict=True):
        if total is None:
            total = np.zeros(vector.shape)
        if vector.shape != total.shape:
            raise ValueError("The vectors have different lengths.")
        if vector.dtype == np.float64:
            dtype = vector.dtype
        for part, sum_part in blocks([vector, total], _BLOCK):
            sum_part += np.multiply(part, share, dtype=np.float64)
    if total is None:
        raise ValueError("At least one vector is needed.")
    return total.astype(dtype)
