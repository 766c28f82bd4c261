"""What a curve says, in a sentence: whether it rose lately, and which of several was best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

LATELY = 5
"""So many rounds are the last ones."""
WORDS = ("no", "one", "two", "three", "four", "five")
MORE_IS_BETTER = ("acc", "auc", "auroc", "precision", "recall", "f1", "dice", "iou", "jaccard", "r2", "score")
LESS_IS_BETTER = ("loss", "error", "err", "mae", "mse", "rmse", "nll", "perplexity", "brier", "ece")
"""Words in the names of metrics. Of a metric with neither, nobody is called the best."""


class Best(NamedTuple):
    """The best value of some curves: names of those that have it, and the round of the first."""

    names: tuple[str, ...]
    value: float
    round: int


def recent(key: str, rounds: Sequence[int], values: Sequence[float]) -> str:
    """`accuracy rose from 0.91 to 0.94 in the last five rounds.` Nothing for fewer than two values."""
    if len(values) < 2:
        return ""
    earlier = [at for at, number in enumerate(rounds) if number <= rounds[-1] - LATELY]
    start = earlier[-1] if earlier else 0
    span = rounds[-1] - rounds[start]
    before, after = f"{values[start]:.4g}", f"{values[-1]:.4g}"
    word = "stayed at" if before == after else "rose from" if values[-1] > values[start] else "fell from"
    numbers = before if before == after else f"{before} to {after}"
    if span == 1:
        return f"{key} {word} {numbers} in the last round."
    return f"{key} {word} {numbers} in the last {WORDS[span] if span < len(WORDS) else span} rounds."


def more_is_better(key: str) -> bool | None:
    """By the words in the name of a metric; None: it does not tell."""
    name = key.lower()
    words = set("".join(letter if letter.isalnum() else " " for letter in name).split())
    if any(word in name if len(word) > 3 else word in words for word in LESS_IS_BETTER):
        return False
    if any(word in name if len(word) > 3 else word in words for word in (*MORE_IS_BETTER, "accuracy")):
        return True
    return None


def best_of(key: str, curves: Mapping[str, Sequence[tuple[int, float]]]) -> Best | None:
    """The best value of all rounds of all curves; None where the metric's name does not tell what is better."""
    is_more = more_is_better(key)
    points = [(value, number, name) for name, points in curves.items() for number, value in points]
    if is_more is None or not points:
        return None
    value = (max if is_more else min)(value for value, *_ in points)
    names = dict.fromkeys(name for found, _, name in points if found == value)
    return Best(tuple(names), value, min(number for found, number, _ in points if found == value))


def best_sentence(key: str, curves: Mapping[str, Sequence[tuple[int, float]]]) -> str:
    """`Best: lungs, accuracy 0.97 in round 18.`"""
    best = best_of(key, curves)
    if best is None:
        return ""
    word = "Best" if len(best.names) == 1 else "Equally good"
    return f"{word}: {' and '.join(best.names)}, {key} {best.value:.4g} in round {best.round}."
