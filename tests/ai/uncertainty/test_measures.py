"""The measures against numbers worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fl_server_ai.uncertainty import measures

# Two samples of one row of two classes: (1, 0) and (1/2, 1/2).
SURE_AND_UNSURE = np.array([[[1.0, 0.0]], [[0.5, 0.5]]])


def test_the_predictive_entropy_is_that_of_the_mean() -> None:
    # The mean is (3/4, 1/4): −3/4 ln 3/4 − 1/4 ln 1/4 = 2 ln 2 − 3/4 ln 3.
    expected = 2 * math.log(2) - 0.75 * math.log(3)
    assert measures.predictive_entropy(SURE_AND_UNSURE) == pytest.approx([expected])


def test_the_expected_entropy_is_the_mean_of_the_entropies() -> None:
    # The entropies are 0 and ln 2.
    assert measures.expected_entropy(SURE_AND_UNSURE) == pytest.approx([math.log(2) / 2])


def test_the_mutual_information_is_their_difference() -> None:
    expected = 2 * math.log(2) - 0.75 * math.log(3) - math.log(2) / 2
    assert measures.mutual_info(SURE_AND_UNSURE) == pytest.approx([expected])


def test_rows_are_made_to_sum_to_one_sample_by_sample() -> None:
    scaled = SURE_AND_UNSURE * np.array([0.25, 1.0]).reshape(2, 1, 1)
    assert measures.predictive_entropy(scaled) == pytest.approx(measures.predictive_entropy(SURE_AND_UNSURE))
    assert measures.mutual_info(scaled) == pytest.approx(measures.mutual_info(SURE_AND_UNSURE))


def test_samples_that_agree_share_no_information() -> None:
    samples = np.tile([[0.2, 0.3, 0.5]], (5, 1, 1))
    assert measures.mutual_info(samples) == pytest.approx([0.0], abs=1e-15)


def test_the_entropy_of_a_uniform_row_is_the_logarithm_of_its_classes() -> None:
    assert measures.predictive_entropy(np.full((3, 2, 10), 0.1)) == pytest.approx([math.log(10)] * 2)


def test_a_row_of_zeros_has_no_entropy_and_does_not_touch_the_others() -> None:
    samples = np.array([[[0.0, 0.0], [0.5, 0.5]]])
    first, second = measures.predictive_entropy(samples)
    assert math.isnan(first)
    assert second == pytest.approx(math.log(2))


def test_classes_lie_in_the_second_dimension_of_an_output_whatever_follows() -> None:
    # One sample, one row, two classes, three places: uniform, sure, uniform.
    samples = np.array([[[[0.5, 1.0, 0.5], [0.5, 0.0, 0.5]]]])
    assert measures.predictive_entropy(samples)[0] == pytest.approx([math.log(2), 0.0, math.log(2)])


def test_variance_and_std_are_unbiased() -> None:
    # 1, 2, 6: mean 3, squares of the differences 4 + 1 + 9 = 14, over 2.
    samples = np.array([1.0, 2.0, 6.0]).reshape(3, 1, 1)
    assert measures.variance(samples) == pytest.approx(np.array([[7.0]]))
    assert measures.std(samples) == pytest.approx(np.array([[math.sqrt(7)]]))


def test_a_single_sample_has_neither() -> None:
    assert measures.variance(np.ones((1, 2, 2))) is None
    assert measures.std(np.ones((1, 2, 2))) is None


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        (np.zeros((2, 3, 4)), True),
        (np.ones((2, 3, 4)), True),
        (np.full((2, 3, 4), 1.0001), False),
        (np.full((2, 3, 4), -0.0001), False),
        (np.full((2, 3, 4), np.nan), False),
        (np.zeros((2, 3)), False),
    ],
)
def test_only_rows_of_values_between_zero_and_one_are_taken_for_probabilities(
    samples: np.ndarray, expected: bool
) -> None:
    assert measures.is_probability_like(samples) is expected
