"""The coordinate-wise median, against numbers worked out by hand and by the statistics module."""

from __future__ import annotations

import statistics
from pathlib import Path

import numpy as np
import pytest
import torch

from fl_server_ai.aggregation import CannotAggregate
from fl_server_core.archive import open_archive
from tests.ai.aggregation.models import Bag, aggregated, bag
from tests.builders.files import saved


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 10])
def test_each_element_is_the_median_of_its_own(tmp_path: Path, count: int) -> None:
    torch.manual_seed(count)
    values = torch.randn(count, 700, dtype=torch.float64)
    result = aggregated(tmp_path, [{"x": row} for row in values], "Median")["x"]
    assert result.tolist() == [statistics.median(column) for column in values.t().tolist()]


def test_sample_sizes_do_not_count(tmp_path: Path) -> None:
    models = [bag([1.0, 9.0]), bag([2.0, 8.0]), bag([30.0, -70.0])]
    assert aggregated(tmp_path, models, "Median", weights=[1, 1, 10**6])["w"].tolist() == [2, 8]


def test_liars_in_the_minority_are_not_heard(tmp_path: Path) -> None:
    models = [bag([1.0]), bag([1.5]), bag([1.25]), bag([3e38]), bag([-3e38])]
    assert aggregated(tmp_path, models, "Median")["w"].tolist() == [1.25]


def test_two_huge_values_in_the_middle_do_not_overflow(tmp_path: Path) -> None:
    models = [bag([3e38]), bag([3.2e38])]
    assert aggregated(tmp_path, models, "Median")["w"].tolist() == [np.float32(3.1e38)]


def test_integers_are_rounded_half_to_even(tmp_path: Path) -> None:
    rows = [[1, 2, -1, 5], [2, 3, -2, 9]]
    models = [bag([0.0], steps=torch.tensor(row)) for row in rows]
    assert aggregated(tmp_path, models, "Median")["steps"].tolist() == [2, 2, -2, 7]


def test_what_is_equal_in_all_stays_even_if_it_is_infinite(tmp_path: Path) -> None:
    models = [bag([float("-inf"), value]) for value in (1.0, 2.0, 4.0)]
    assert aggregated(tmp_path, models, "Median")["w"].tolist() == [-np.inf, 2]


def test_modules_have_a_median_too() -> None:
    from fl_server_ai.aggregation.median import Median

    result = Median().aggregate([bag([1.0, 5.0]), bag([7.0, 6.0]), bag([3.0, 9.0])], [1, 1, 1])
    assert result.state_dict()["w"].tolist() == [3, 6]


def test_complex_numbers_are_refused_by_the_name_of_their_tensor(tmp_path: Path) -> None:
    from fl_server_ai.aggregation.median import Median

    model = Bag({}, {"phase": torch.tensor([1j])})
    sentence = "Coordinate-wise median cannot order the complex numbers of the tensor 'phase'."
    with pytest.raises(CannotAggregate) as caught:
        aggregated(tmp_path, [model, model], "Median")
    assert str(caught.value) == sentence
    assert not (tmp_path / "new.pt").exists()
    with open_archive(saved(model)) as archive, pytest.raises(CannotAggregate, match="'phase'"):
        Median().check_model(archive)
    with pytest.raises(CannotAggregate, match="'phase'"):
        Median().aggregate([model], [1])
