"""The figures of the demonstration's report, against other implementations and numbers computed by hand."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from fl_server_demo.measures import auroc, expected_calibration_error, predictive_entropy, softmax

pytestmark = pytest.mark.once


def test_auroc_agrees_with_scikit_learn_ties_included() -> None:
    generator = np.random.default_rng(0)
    known = generator.normal(size=300).round(1)
    foreign = generator.normal(loc=0.8, size=200).round(1)
    expected = roc_auc_score(np.r_[np.zeros(300), np.ones(200)], np.r_[known, foreign])
    assert auroc(known, foreign) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("known", "foreign", "expected"),
    [
        ([1.0, 2.0], [3.0, 4.0], 1.0),
        ([3.0], [1.0, 2.0], 0.0),
        ([1.0, 1.0], [1.0], 0.5),
        ([1.0, 3.0], [2.0, 3.0], 0.625),
    ],
)
def test_auroc_is_the_share_of_pairs_in_the_right_order(
    known: list[float], foreign: list[float], expected: float
) -> None:
    assert auroc(np.array(known), np.array(foreign)) == expected


def test_calibration_error_of_a_small_case_by_hand() -> None:
    # Two bins. (0, 0.5]: one sample, sure by 0.5, wrong. (0.5, 1]: sure by 0.6, 0.9, 0.9, of which two are right.
    probabilities = np.array([[0.5, 0.25, 0.25], [0.6, 0.4, 0.0], [0.9, 0.1, 0.0], [0.05, 0.9, 0.05]])
    labels = np.array([1, 0, 1, 1])
    expected = 1 / 4 * 0.5 + 3 / 4 * abs(2 / 3 - 0.8)
    assert expected_calibration_error(probabilities, labels, bins=2) == pytest.approx(expected, abs=1e-12)


def test_a_confidence_on_the_edge_of_a_bin_belongs_to_the_lower_one() -> None:
    probabilities = np.array([[0.8, 0.2], [0.85, 0.15]])
    # With ten bins: 0.8 in (0.7, 0.8], wrong; 0.85 in (0.8, 0.9], right.
    assert expected_calibration_error(probabilities, np.array([1, 0]), bins=10) == pytest.approx(0.4 + 0.075)


def test_certain_and_right_is_calibrated_and_certain_and_wrong_is_not() -> None:
    certain = np.eye(3)
    assert expected_calibration_error(certain, np.array([0, 1, 2])) == 0
    assert expected_calibration_error(certain, np.array([1, 2, 0])) == 1


def test_confidences_that_are_honest_have_almost_no_calibration_error() -> None:
    generator = np.random.default_rng(0)
    confidence = generator.uniform(0.5, 1, 200_000)
    probabilities = np.stack([confidence, 1 - confidence], axis=1)
    labels = (generator.random(200_000) > confidence).astype(int)
    assert expected_calibration_error(probabilities, labels) < 0.01


def test_entropy_agrees_with_torch_and_nothing_is_lost_at_zero() -> None:
    probabilities = np.random.default_rng(0).dirichlet([0.5] * 6, size=40)
    expected = torch.special.entr(torch.from_numpy(probabilities)).sum(dim=1).numpy()
    np.testing.assert_allclose(predictive_entropy(probabilities), expected, atol=1e-12)
    np.testing.assert_allclose(predictive_entropy(np.array([[1.0, 0.0], [0.5, 0.5]])), [0.0, np.log(2)])


def test_softmax_agrees_with_torch_also_for_huge_logits() -> None:
    logits = np.array([[1.0, 2.0, 3.0], [1000.0, 1001.0, -1000.0]])
    np.testing.assert_allclose(softmax(logits), torch.softmax(torch.from_numpy(logits), dim=1).numpy(), atol=1e-12)
