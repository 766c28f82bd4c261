"""How far two archives lie apart."""

from __future__ import annotations

import math
import tracemalloc

import pytest
import torch

from fl_server_core.archive import archive_difference, open_archive
from tests.builders.files import linear, pickled_linear, saved, scripted_linear


def compared(first: object, second: object) -> dict[str, tuple[float, float]]:
    """Norm and difference of each tensor."""
    with open_archive(saved(first)) as one, open_archive(saved(second)) as other:
        return {row.name: (row.norm, row.difference) for row in archive_difference(one, other).tensors}


def test_each_tensor_has_its_norm_and_that_of_the_difference() -> None:
    found = compared(linear(1.0), linear(3.0))
    assert found["0.weight"] == pytest.approx((math.sqrt(6), 2 * math.sqrt(6)))
    assert found["0.bias"] == pytest.approx((math.sqrt(2), 2 * math.sqrt(2)))


def test_a_pickled_and_a_scripted_file_are_compared_by_their_names() -> None:
    with open_archive(pickled_linear(1.0)) as one, open_archive(scripted_linear(1.0)) as other:
        found = archive_difference(one, other)
    assert [row.difference for row in found.tensors] == [0.0, 0.0]
    assert found.only_first == found.only_second == []


def test_tensors_that_only_one_has_are_named_and_so_are_those_of_another_shape() -> None:
    one = {"same": torch.ones(2), "old": torch.ones(1), "shape": torch.ones(2, 3)}
    other = {"same": torch.zeros(2), "new": torch.ones(1), "shape": torch.ones(3, 2)}
    with open_archive(saved(one)) as first, open_archive(saved(other)) as second:
        found = archive_difference(first, second)
    assert [row.name for row in found.tensors] == ["same"]
    assert (found.only_first, found.only_second) == (["old", "shape"], ["new", "shape"])


def test_infinities_that_stay_are_no_difference_and_one_that_comes_is_infinite() -> None:
    mask = {"mask": torch.tensor([1.0, -math.inf, math.nan])}
    assert compared(mask, mask)["mask"][1] == 0.0
    assert compared({"w": torch.tensor([1.0])}, {"w": torch.tensor([math.inf])})["w"][1] == math.inf


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.int64, torch.bool, torch.complex64])
def test_every_type_is_compared_in_double_precision(dtype: torch.dtype) -> None:
    one, other = torch.tensor([1, 0, 1]).to(dtype), torch.tensor([0, 0, 0]).to(dtype)
    assert compared({"w": one}, {"w": other})["w"] == pytest.approx((math.sqrt(2), math.sqrt(2)))


def test_views_that_are_not_contiguous_and_numbers_alone_are_compared() -> None:
    matrix = torch.arange(6.0).reshape(2, 3)
    found = compared({"t": matrix.t(), "one": torch.tensor(3.0)}, {"t": matrix.t() + 1, "one": torch.tensor(5.0)})
    assert found["t"] == pytest.approx((math.sqrt(55), math.sqrt(6)))
    assert found["one"] == pytest.approx((3.0, 2.0))


def test_memory_does_not_grow_with_the_tensors() -> None:
    values = torch.zeros(8_000_000)
    one, other = saved({"w": values}), saved({"w": values + 1})
    with open_archive(one) as first, open_archive(other) as second:
        tracemalloc.start()
        try:
            (row,) = archive_difference(first, second).tensors
            _now, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert row.difference == pytest.approx(math.sqrt(8_000_000))
    assert most < 16 << 20  # one tensor has 32 MB, and 64 MB in double precision
