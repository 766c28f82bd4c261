"""A model's answer as it is drawn: a bar for each class with its standard deviation, and what the entropies say."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fl_server_ai.inference.predict import Prediction
from fl_server_ai.uncertainty import UncertaintyBase

MAX_ROWS = 10
MAX_CLASSES = 20
NOISE = 1e-6
"""Deviations below this part of the largest value are what float32 makes of equal samples."""
WIDTH = 200
"""Of a drawing, in its own units."""
ENTROPIES = {
    "predictive_entropy": "predictive entropy: all of the uncertainty",
    "expected_entropy": "expected entropy: the part that lies in the data",
    "mutual_info": "mutual information: the part that lies in the model",
}


@dataclass(frozen=True)
class Bar:
    """x, width: of the bar. low, high: the ends of the standard deviation, None without one. All in WIDTH units."""

    label: str
    value: str
    deviation: str
    x: float
    width: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class AnswerRow:
    """What is said of one row of the input. cut: how many classes there are, if not all of them are drawn."""

    number: int
    sentence: str
    bars: list[Bar] = field(default_factory=list)
    entropies: list[tuple[str, str]] = field(default_factory=list)
    cut: int = 0


@dataclass(frozen=True)
class Answer:
    """rows: at most MAX_ROWS of `total`. note: what a reader should know about all of them."""

    method: str
    rows: list[AnswerRow]
    total: int
    note: str = ""


def answer_of(prediction: Prediction, method: type[UncertaintyBase]) -> Answer:
    """The answer in words and bars."""
    inference = np.atleast_1d(np.asarray(prediction.inference))
    prediction = _without_noise(prediction)
    title = method.title
    if inference.ndim > 2 or not inference.size:
        return Answer(title, [AnswerRow(1, _in_short(inference, "The answer"))], 1)
    if not method.measures:
        return _classes(inference, title)
    rows = [_row(number, inference, prediction) for number in range(min(MAX_ROWS, len(inference)))]
    return Answer(title, rows, len(inference), _note(inference, prediction))


def _without_noise(prediction: Prediction) -> Prediction:
    spread = prediction.uncertainty.get("std")
    if spread is None or not spread.size:
        return prediction
    with np.errstate(invalid="ignore"):
        floor = NOISE * np.max(np.abs(prediction.inference), initial=0)
        clean = np.where(spread < floor, 0, spread)
    return Prediction(prediction.inference, {**prediction.uncertainty, "std": clean})


def _classes(inference: Any, title: str) -> Answer:
    """The most likely class of each row: this method says no more."""
    if inference.ndim > 1:
        return Answer(title, [AnswerRow(1, _in_short(inference, "The most likely classes"))], 1)
    shown = inference[:MAX_ROWS].tolist()
    rows = [AnswerRow(number + 1, f"Most likely: class {found}.") for number, found in enumerate(shown)]
    return Answer(title, rows, len(inference), "This method does not say how sure the model is.")


def _row(number: int, inference: Any, prediction: Prediction) -> AnswerRow:
    values = np.atleast_1d(inference[number]).astype(np.float64).tolist()
    spread = _of_row(prediction, "std", number)
    deviations = spread if len(spread) == len(values) else [None] * len(values)
    best = max(range(len(values)), key=lambda at: values[at] if math.isfinite(values[at]) else -math.inf)
    places = sorted(range(len(values)), key=lambda at: -values[at])[:MAX_CLASSES]
    drawn = range(len(values)) if len(values) <= MAX_CLASSES else sorted(places)
    entropies = [(said, _text(_of_row(prediction, name, number)[0])) for name, said in ENTROPIES.items()
                 if _of_row(prediction, name, number)]  # fmt: skip
    most = "Most likely: class" if len(values) > 1 else "Output"
    sentence = f"{most} {best}, {_with_deviation(values[best], deviations[best])}."
    bars = _bars(values, deviations, drawn)
    return AnswerRow(number + 1, sentence, bars, entropies, len(values) if len(values) > MAX_CLASSES else 0)


def _of_row(prediction: Prediction, name: str, number: int) -> list[Any]:
    measure = prediction.uncertainty.get(name)
    if measure is None or measure.ndim == 0 or number >= len(measure):
        return []
    found: list[Any] = np.atleast_1d(measure[number]).ravel().tolist()
    return found


def _bars(values: Sequence[float], deviations: Sequence[float | None], drawn: Sequence[int]) -> list[Bar]:
    ends = [value + sign * (deviations[at] or 0) for at, value in enumerate(values) for sign in (-1, 1)]
    finite = [end for end in ends if math.isfinite(end)]
    low, high = min([0.0, *finite]), max([0.0, *finite])
    if min(values) >= 0 and max(values) <= 1:
        low, high = 0.0, 1.0
    across = WIDTH / ((high - low) or 1)

    def at(value: float) -> float:
        return round(min(WIDTH, max(0, (value - low) * across)), 1) if math.isfinite(value) else 0.0

    def bar(place: int) -> Bar:
        value, spread = values[place], deviations[place]
        first, last = sorted((at(0), at(value)))
        has_spread = spread is not None and math.isfinite(spread)
        whisker = (at(value - (spread or 0)), at(value + (spread or 0))) if has_spread else (None, None)
        return Bar(str(place), _text(value), _text(spread), first, round(last - first, 1), *whisker)

    return [bar(place) for place in drawn]


def _note(inference: Any, prediction: Prediction) -> str:
    notes = []
    spread = prediction.uncertainty.get("std")
    if spread is not None and not np.any(spread):
        notes.append("All samples are the same: nothing in the model is drawn at random, so this says nothing about "
                     "its uncertainty.")  # fmt: skip
    if "predictive_entropy" not in prediction.uncertainty and inference.ndim > 1:
        notes.append("The outputs are not probabilities, so there are no entropies. The training's option "
                     "uncertainty.softmax makes probabilities of them.")  # fmt: skip
    return " ".join(notes)


def _in_short(array: Any, subject: str) -> str:
    """An array that is too large to be drawn."""
    shape = " × ".join(map(str, array.shape))
    if not array.size:
        return f"{subject} has the shape {shape}: no numbers."
    return f"{subject}: shape {shape}, from {_text(array.min())} to {_text(array.max())}, mean {_text(array.mean())}."


def _with_deviation(value: float, deviation: float | None) -> str:
    return _text(value) if deviation is None else f"{_text(value)} ± {_text(deviation)}"


def _text(value: Any) -> str:
    return "–" if value is None else f"{value:.4g}"
