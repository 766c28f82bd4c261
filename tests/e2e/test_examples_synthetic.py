"""The data sets of the reproductions are those that the papers describe."""

import numpy as np
import pytest
import torch

from examples.reproduce_fedprox import count_rises
from examples.synthetic import feddc_problem, fedprox_problem

pytestmark = pytest.mark.once


def test_feddc_everyone_gets_ten_samples_of_its_own_and_none_is_tested_on() -> None:
    learners, (test_inputs, test_targets) = feddc_problem(50, 10)
    assert [one.sample_size for one in learners] == [10] * 50
    assert test_inputs.shape == (400, 100)
    assert set(test_targets.tolist()) == {0, 1}
    rows = [tuple(row.tolist()) for one in learners for row in one.inputs]
    assert len(set(rows)) == 500
    assert not set(rows) & {tuple(row.tolist()) for row in test_inputs}


def test_fedprox_devices_have_lognormal_sizes_and_features_of_falling_variance() -> None:
    learners = fedprox_problem(30)
    sizes = np.array([one.sample_size for one in learners])
    assert sizes.min() >= 50
    # The logarithm of what exceeds 50 is N(4, 2): over 30 devices its mean has a standard error of 0.37.
    assert abs(np.log(np.maximum(sizes - 50, 1)).mean() - 4) < 4 * 0.37
    largest = max(learners, key=lambda one: one.sample_size).inputs
    variances = largest.var(dim=0).numpy() * np.arange(1, 61) ** 1.2
    # A variance from n samples has a relative standard error of sqrt(2 / n).
    np.testing.assert_allclose(variances, 1, atol=5 * np.sqrt(2 / len(largest)))


def test_fedprox_devices_differ_in_their_data_and_in_what_they_have_to_learn() -> None:
    learners = fedprox_problem(30)
    centres = torch.stack([one.inputs.mean(dim=0) for one in learners])
    # Centres vary by 1 around a mean that varies by 1 itself: a variance of 2 from device to device.
    assert 1 < centres.var(dim=0).mean() < 4
    shares = torch.stack([torch.bincount(one.targets, minlength=10) / len(one.targets) for one in learners])
    assert (shares.max(dim=1).values - shares.mean(dim=0).max()).mean() > 0.2


def test_fedprox_the_same_seed_gives_the_same_devices() -> None:
    first, again, other = fedprox_problem(4), fedprox_problem(4), fedprox_problem(4, seed=1)
    assert all(torch.equal(a.inputs, b.inputs) for a, b in zip(first, again, strict=True))
    assert [one.sample_size for one in first] != [one.sample_size for one in other]


def test_rises_of_the_loss_are_counted_in_the_order_of_the_rounds() -> None:
    assert count_rises({3: 1.0, 1: 2.0, 2: 3.0, 4: 1.0, 5: 1.5}) == 2
