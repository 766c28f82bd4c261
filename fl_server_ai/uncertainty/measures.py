"""Measures of uncertainty as functions of arrays: no Django, no torch.

Samples have the shape (N, rows, classes, …): N outputs of a model for the same input, classes in the third dimension.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.floating[Any]]]

_CLASSES = 2


def variance(samples: Array) -> Array | None:
    """The unbiased variance over the samples, shape (rows, …). None for a single sample."""
    return None if len(samples) < 2 else np.var(samples, axis=0, ddof=1)


def std(samples: Array) -> Array | None:
    """The square root of the unbiased variance, shape (rows, …). None for a single sample."""
    return None if len(samples) < 2 else np.std(samples, axis=0, ddof=1)


def predictive_entropy(samples: Array) -> Array:
    """H[mean over samples of p(y|x)] in nats, shape (rows, …): all of the uncertainty (Gal, 2016, section 3.3.1)."""
    return _entropy(np.mean(_normalised(samples), axis=0), axis=_CLASSES - 1)


def expected_entropy(samples: Array) -> Array:
    """Mean over samples of H[p(y|x)] in nats, shape (rows, …): the part that lies in the data."""
    return np.asarray(np.mean(_entropy(_normalised(samples), axis=_CLASSES), axis=0))


def mutual_info(samples: Array) -> Array:
    """Predictive minus expected entropy in nats, shape (rows, …): the part that lies in the model (BALD, Houlsby).

    Never negative: what rounding makes negative is 0.
    """
    return np.maximum(predictive_entropy(samples) - expected_entropy(samples), 0)


def is_probability_like(samples: Array) -> bool:
    """Do the samples have rows of classes, all values in 0..1? Only then an entropy means something."""
    return samples.ndim > _CLASSES and bool(np.all((samples >= 0) & (samples <= 1)))


def _normalised(samples: Array) -> Array:
    """Rows that sum to 1. Each sample's own, before any mean: only so the mutual information is never negative."""
    total = np.sum(samples, axis=_CLASSES, keepdims=True, dtype=np.float64)
    # A row of zeros is not a distribution: its entropy is not a number.
    rows: Array = np.divide(samples, total, out=np.full(samples.shape, np.nan), where=total > 0)
    return rows


def _entropy(probabilities: Array, axis: int) -> Array:
    positive = probabilities > 0
    logarithm = np.log(probabilities, out=np.zeros(probabilities.shape), where=positive)
    return np.asarray(0.0 - np.sum(probabilities * logarithm, axis=axis))  # not -sum: of zero that is -0.0
