"""Whether an update's tensors may stand in for the model's, and what is said if not."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from fl_server_core.archive import Archive, ArchiveError, check_compatible, check_finite, open_archive
from fl_server_core.archive.blocks import same_bits
from tests.builders.files import saved


def state(**tensors: torch.Tensor) -> Archive:
    return open_archive(saved(tensors))


def model() -> dict[str, torch.Tensor]:
    return {"a.weight": torch.ones(2, 3), "a.bias": torch.ones(2), "steps": torch.tensor(3)}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"a.bias": None}, "The tensor 'a.bias' of the model is missing."),
        ({"a.scale": torch.ones(1)}, "The model has no tensor 'a.scale'."),
        ({"a.weight": torch.ones(3, 2)}, "The tensor 'a.weight' has the shape (3, 2); the model's has (2, 3)."),
        ({"steps": torch.ones(1)}, "The tensor 'steps' has the shape (1,); the model's has ()."),
        ({"a.bias": torch.ones(2).double()}, "The tensor 'a.bias' is of the type float64, not float32."),
        ({"a.bias": torch.ones(2).half()}, "The tensor 'a.bias' is of the type float16, not float32."),
    ],
)
def test_an_update_that_does_not_fit_is_refused_naming_the_tensor(
    changes: dict[str, torch.Tensor | None], sentence: str
) -> None:
    update = {name: tensor for name, tensor in (model() | changes).items() if tensor is not None}
    with pytest.raises(ArchiveError) as caught:
        check_compatible(state(**model()), state(**update))
    assert str(caught.value) == sentence


def test_the_order_of_the_names_does_not_matter() -> None:
    check_compatible(state(**model()), state(**dict(reversed(model().items()))))


def test_a_list_of_tensors_is_no_update() -> None:
    with pytest.raises(ArchiveError, match=r"'a\.weight' of the model is missing"):
        check_compatible(state(**model()), open_archive(saved(list(model().values()))))


class TestSharedMemory:
    def test_tied_tensors_must_be_equal_in_an_update_that_holds_them_apart(self) -> None:
        tied = torch.rand(3, 4)
        reference = state(a=tied, b=tied)
        check_compatible(reference, state(a=torch.ones(3, 4), b=torch.ones(3, 4)))
        check_compatible(reference, reference)
        with pytest.raises(ArchiveError, match="'a' and 'b' share memory in the model, but differ in this file"):
            check_compatible(reference, state(a=torch.ones(3, 4), b=torch.zeros(3, 4)))

    def test_a_nan_in_both_is_equal(self) -> None:
        tied = torch.rand(2)
        check_compatible(state(a=tied, b=tied), state(a=torch.tensor([math.nan, 1]), b=torch.tensor([math.nan, 1])))

    def test_an_update_may_tie_what_the_model_does_not(self) -> None:
        tied = torch.rand(3)
        check_compatible(state(a=torch.rand(3), b=torch.rand(3)), state(a=tied, b=tied))

    def test_a_matrix_and_its_transpose_must_agree(self) -> None:
        matrix = torch.rand(3, 4)
        reference = state(a=matrix, b=matrix.t())
        other = torch.rand(3, 4)
        check_compatible(reference, state(a=other, b=other.t().contiguous()))
        with pytest.raises(ArchiveError, match="share memory"):
            check_compatible(reference, state(a=other, b=torch.rand(4, 3)))

    def test_overlapping_parts_must_agree_where_they_overlap(self) -> None:
        whole = torch.arange(6.0)
        reference = state(a=whole[:4], b=whole[2:])
        check_compatible(reference, state(a=torch.tensor([9.0, 9, 1, 2]), b=torch.tensor([1.0, 2, 7, 7])))
        with pytest.raises(ArchiveError, match="share memory"):
            check_compatible(reference, state(a=torch.tensor([9.0, 9, 1, 2]), b=torch.tensor([1.0, 3, 7, 7])))

    def test_interleaved_parts_that_share_no_element_are_free(self) -> None:
        whole = torch.arange(6.0)
        check_compatible(state(a=whole[::2], b=whole[1::2]), state(a=torch.ones(3), b=torch.zeros(3)))

    def test_neighbours_in_one_storage_are_free(self) -> None:
        whole = torch.arange(6.0)
        check_compatible(
            state(b=whole[3:], a=whole[:3], c=whole[:0]), state(a=torch.ones(3), b=torch.zeros(3), c=whole[:0])
        )

    def test_overlaps_too_large_to_check_are_refused(self) -> None:
        matrix = torch.zeros(4097, 4097)
        reference = state(a=matrix, b=matrix.t())
        with pytest.raises(ArchiveError, match="'a' and 'b' overlap in memory, and are too large"):
            check_compatible(reference, reference)


class TestFinite:
    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
    @pytest.mark.parametrize(
        "dtype",
        [
            torch.float64,
            torch.float32,
            torch.float16,
            torch.bfloat16,
            torch.float8_e5m2,
            torch.complex64,
            torch.complex128,
        ],
        ids=str,
    )
    def test_a_value_that_is_not_finite_is_refused_naming_the_tensor(self, value: float, dtype: torch.dtype) -> None:
        tensor = torch.ones(5, 7).to(dtype)
        check_finite(state(good=tensor, also=tensor.t()))
        tensor[3, 4] = value
        with pytest.raises(ArchiveError, match=r"'bad' holds values that are not finite \(NaN or infinity\)\."):
            check_finite(state(good=torch.ones(2), bad=tensor))
        with pytest.raises(ArchiveError, match="'bad'"):
            check_finite(state(bad=tensor.t()[1:]))

    @pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz], ids=str)
    def test_a_nan_of_a_type_without_infinities_is_refused(self, dtype: torch.dtype) -> None:
        with pytest.raises(ArchiveError, match="'x' holds values"):
            check_finite(state(x=torch.tensor([1.0, math.nan]).to(dtype)))

    def test_the_last_of_many_values_is_looked_at(self) -> None:
        tensor = torch.zeros(1_000_003)
        tensor[-1] = math.nan
        with pytest.raises(ArchiveError, match="'x'"):
            check_finite(state(x=tensor))

    def test_integers_are_finite(self) -> None:
        check_finite(state(x=torch.tensor([2**63 - 1]), y=torch.tensor([True])))

    def test_an_attention_mask_is_fine_where_the_model_has_the_very_same_bits(self) -> None:
        mask = nn.Transformer.generate_square_subsequent_mask(4)
        assert torch.isinf(mask).any()
        check_finite(state(mask=mask + 0, w=torch.ones(1)), state(mask=mask, w=torch.zeros(1)))

    def test_another_infinity_or_one_elsewhere_is_not(self) -> None:
        reference = state(mask=torch.tensor([math.inf, 0, 1]))
        for values in ([-math.inf, 0, 1], [math.inf, math.inf, 1], [math.nan, 0, 1]):
            with pytest.raises(ArchiveError, match="'mask'"):
                check_finite(state(mask=torch.tensor(values)), reference)
        check_finite(state(mask=torch.tensor([math.inf, 5, 5])), reference)
        check_finite(state(mask=torch.tensor([4.0, 5, 5])), reference)

    def test_a_nan_with_other_bits_is_not(self) -> None:
        one, other = np.array([0x7FC00000, 0x7FC00001], np.uint32).view(np.float32)
        reference = state(x=torch.tensor(np.array([one])))
        check_finite(state(x=torch.tensor(np.array([one]))), reference)
        with pytest.raises(ArchiveError, match="'x'"):
            check_finite(state(x=torch.tensor(np.array([other]))), reference)

    def test_a_tensor_of_another_shape_in_the_model_excuses_nothing(self) -> None:
        with pytest.raises(ArchiveError, match="'x'"):
            check_finite(state(x=torch.tensor([math.inf])), state(x=torch.tensor([math.inf, math.inf])))


def test_equal_bits_tell_zero_from_minus_zero() -> None:
    assert same_bits(np.zeros(3), np.zeros(3))
    assert not same_bits(np.zeros(3), -np.zeros(3))
    assert not same_bits(np.array([1j]), np.array([-1j]))
    assert not same_bits(np.array([1j, 0]), np.array([1j, -0.0]) * np.array([1, -1]))


class Counted:
    """A file that counts the bytes that are looked at."""

    def __init__(self, file: Archive) -> None:
        self.tensors, self.nbytes, self._file = file.tensors, file.nbytes, file
        self.seen = 0

    def array(self, name: str) -> np.ndarray[Any, Any]:
        self.seen += self._file.array(name).nbytes
        return self._file.array(name)


class TestWork:
    """It grows with the bytes of the files, not with names × bytes."""

    def test_two_memories_are_compared_once_whatever_their_names(self) -> None:
        tied, others = torch.zeros(1000), [torch.zeros(1000), torch.zeros(1000)]
        reference = state(**{f"n{number}": tied for number in range(500)})
        candidate = Counted(state(**{f"n{number}": others[number % 2] for number in range(500)}))
        check_compatible(reference, candidate)
        assert candidate.seen == 2 * 4000

    def test_every_memory_is_compared_once_where_many_are_tied_in_many_ways(self) -> None:
        def grid(of: Callable[[int], int]) -> Archive:
            rows = [torch.zeros(500) for _ in range(20)]
            return state(**{f"n{number}": rows[of(number)] for number in range(400)})

        candidate = Counted(grid(lambda number: number // 20))
        check_compatible(grid(lambda number: number % 20), candidate)
        assert candidate.seen <= 2 * 20 * 2000

    def test_what_differs_is_found_behind_many_equal_names(self) -> None:
        tied, good, bad = torch.zeros(100), torch.ones(100), torch.ones(100)
        bad[-1] = 2
        reference = state(**{f"n{number}": tied for number in range(300)})
        update = {f"n{number}": good for number in range(300)} | {"n250": bad}
        with pytest.raises(ArchiveError, match="'n0' and 'n250' share memory"):
            check_compatible(reference, state(**update))

    def test_a_tangle_of_many_names_is_written_once_for_each_view(self) -> None:
        matrix = torch.rand(20, 20)
        views = {f"n{number}": matrix if number % 2 else matrix.t() for number in range(400)}
        candidate = Counted(state(**views))
        check_compatible(state(**views), candidate)
        assert candidate.seen == 2 * 2 * 1600

    def test_overlapping_views_of_different_shapes_must_agree(self) -> None:
        whole = torch.arange(12.0)
        views = {"all": whole, "table": whole.view(3, 4), "part": whole.view(4, 3)[1:, :2], "row": whole[4:8]}
        check_compatible(state(**views), state(**{name: view + 0 for name, view in views.items()}))
        changed = {name: view + (name == "part") for name, view in views.items()}
        with pytest.raises(ArchiveError, match="share memory"):
            check_compatible(state(**views), state(**changed))

    def test_an_infinity_of_many_names_is_excused_once(self) -> None:
        mask = torch.full((1000,), math.inf)
        file = Counted(state(**{f"n{number}": mask for number in range(500)}))
        check_finite(file, state(**{f"n{number}": mask for number in range(500)}))
        assert file.seen == 2 * 4000

    def test_infinities_tied_in_too_many_ways_are_refused(self) -> None:
        def grid(of: Callable[[int], int]) -> Archive:
            rows = [torch.full((500,), math.inf) for _ in range(50)]
            return state(**{f"n{number}": rows[of(number)] for number in range(2500)})

        reference, candidate = grid(lambda number: number % 50), Counted(grid(lambda number: number // 50))
        with pytest.raises(ArchiveError, match="share memory in too many ways"):
            check_finite(candidate, reference)
        assert candidate.seen < 10 * (candidate.nbytes + reference.nbytes) + 2**20
