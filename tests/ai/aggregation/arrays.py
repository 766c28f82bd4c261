"""A method at work on arrays in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fl_server_ai.aggregation import Aggregation
from fl_server_ai.aggregation.engine import Arrays, Engine

Array = np.ndarray[Any, Any]


def reduce_arrays(method: Aggregation, arrays: Sequence[Array], weights: Sequence[float]) -> Array:
    """What a method's `reduce` makes of arrays of one shape and type."""
    engine = Engine(method, Arrays({}), [Arrays({"": array}) for array in arrays], weights)
    engine.prepare()
    parts = list(engine.results(""))
    return np.concatenate(parts).reshape(arrays[0].shape) if parts else np.empty(arrays[0].shape, arrays[0].dtype)
