"""What a curve says in a sentence."""

from __future__ import annotations

import pytest

from fl_server_api.pages.trends import best_of, best_sentence, more_is_better, recent


def test_a_curve_tells_whether_it_rose_in_the_last_five_rounds() -> None:
    rounds = list(range(1, 9))
    values = [0.5, 0.6, 0.91, 0.8, 0.99, 0.93, 0.92, 0.94]
    assert recent("accuracy", rounds, values) == "accuracy rose from 0.91 to 0.94 in the last five rounds."
    falling = [value * -1 for value in values]
    assert recent("loss", rounds, falling) == "loss fell from -0.91 to -0.94 in the last five rounds."
    assert recent("loss", [1, 2], [0.5, 0.5]) == "loss stayed at 0.5 in the last round."


def test_a_curve_with_gaps_counts_rounds_and_not_values() -> None:
    assert recent("auc", [1, 4, 10], [0.1, 0.2, 0.3]) == "auc rose from 0.2 to 0.3 in the last 6 rounds."
    assert recent("auc", [1, 4], [0.1, 0.2]) == "auc rose from 0.1 to 0.2 in the last three rounds."


def test_a_single_value_tells_nothing() -> None:
    assert recent("auc", [1], [0.1]) == recent("auc", [], []) == ""


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("accuracy", True), ("val_acc", True), ("F1", True), ("balanced accuracy", True), ("loss", False),
        ("cross_entropy_loss", False), ("MSE", False), ("accuracy_loss", False), ("epsilon", None), ("size", None),
    ],
)  # fmt: skip
def test_the_name_of_a_metric_tells_whether_more_is_better(key: str, expected: bool | None) -> None:
    assert more_is_better(key) is expected


def test_the_best_is_named_with_value_and_round() -> None:
    curves = {"lungs": [(1, 0.5), (2, 0.97), (3, 0.9)], "hearts": [(1, 0.6)]}
    assert best_sentence("accuracy", curves) == "Best: lungs, accuracy 0.97 in round 2."
    assert best_sentence("loss", curves) == "Best: lungs, loss 0.5 in round 1."


def test_equally_good_ones_are_both_named_and_an_unknown_metric_has_no_best() -> None:
    curves = {"lungs": [(3, 0.5)], "hearts": [(1, 0.5)]}
    assert best_sentence("accuracy", curves) == "Equally good: lungs and hearts, accuracy 0.5 in round 1."
    assert best_of("epsilon", curves) is None
    assert best_sentence("epsilon", curves) == best_sentence("accuracy", {}) == ""
