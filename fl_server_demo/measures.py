"""Measures of how good an uncertainty estimate is: pure functions on arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating[Any]]


def softmax(logits: Array) -> npt.NDArray[np.float64]:
    """Probabilities of shape (samples, classes) from logits of the same shape."""
    shifted = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))


def predictive_entropy(probabilities: Array) -> npt.NDArray[np.float64]:
    """The entropy of each row, in nats."""
    p = probabilities.astype(np.float64)
    return np.asarray(-np.where(p > 0, p * np.log(np.where(p > 0, p, 1.0)), 0.0).sum(axis=1))


def auroc(known: Array, foreign: Array) -> float:
    """The probability that a foreign sample scores higher than a known one; a tie counts half.

    This is the area under the receiver operating characteristic: 0.5 is chance, 1 a perfect detector.
    """
    ordered = np.sort(known)
    below = np.searchsorted(ordered, foreign, side="left")
    not_above = np.searchsorted(ordered, foreign, side="right")
    return float((below + not_above).mean() / (2 * len(known)))


def expected_calibration_error(probabilities: Array, labels: npt.NDArray[np.integer[Any]], *, bins: int = 15) -> float:
    """The mean gap between confidence and accuracy over bins of equal width (Guo et al. 2017, equation 3).

    Args:
        probabilities: shape (samples, classes).
        labels: shape (samples,).
    """
    confidence = probabilities.max(axis=1)
    hits = probabilities.argmax(axis=1) == labels
    # Bin m holds the confidences in ((m - 1) / bins, m / bins].
    number = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    gaps = [
        abs(hits[number == m].mean() - confidence[number == m].mean()) * (number == m).mean() for m in np.unique(number)
    ]
    return float(sum(gaps))
