"""The weighted mean of arrays, against numbers computed in exact arithmetic."""

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from fl_server_ai.aggregation import MeanAggregation
from fl_server_ai.aggregation.vectors import weighted_mean_vectors
from tests.ai.aggregation.arrays import reduce_arrays

Array = np.ndarray[Any, Any]


def weighted_mean_arrays(arrays: list[Array], weights: list[float]) -> Array:
    return reduce_arrays(MeanAggregation(), arrays, weights)


def exact(arrays: list[Array], weights: list[float]) -> list[Fraction]:
    total = sum(Fraction(weight) for weight in weights)
    columns = zip(*(array.reshape(-1).astype(np.float64) for array in arrays), strict=True)
    return [
        sum(
            (Fraction(weight) * Fraction(float(value)) for weight, value in zip(weights, column, strict=True)),
            Fraction(),
        )
        / total
        for column in columns
    ]


@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [
        (np.float64, 1e-14),
        (np.float32, 1e-6),
        (np.float16, 5e-4),
        (ml_dtypes.bfloat16, 4e-3),
        (ml_dtypes.float8_e4m3fn, 0.07),
        (ml_dtypes.float8_e5m2, 0.13),
    ],
)
def test_floating_numbers_are_averaged_within_their_precision(dtype: Any, tolerance: float) -> None:
    random = np.random.default_rng(0)
    arrays = [random.uniform(1, 2, (7, 11)).astype(dtype) for _ in range(5)]
    weights = [3.0, 1.0, 10.0, 0.5, 7.0]
    result = weighted_mean_arrays(arrays, weights)
    assert result.dtype == np.dtype(dtype)
    assert result.shape == (7, 11)
    expected = exact(arrays, weights)
    found = result.reshape(-1).astype(np.float64)
    assert max(abs(float(e) - f) / abs(float(e)) for e, f in zip(expected, found, strict=True)) < tolerance


def test_half_precision_is_summed_in_single() -> None:
    ones = [np.array([1], np.float16)] * 4095 + [np.array([2], np.float16)]
    # In half precision a sum of 4096 small parts would stop growing long before its end.
    assert weighted_mean_arrays(ones, [1] * 4096).tolist() == [1.0]
    brain = [np.array([1.0], ml_dtypes.bfloat16), np.array([1.0078125], ml_dtypes.bfloat16)]
    assert weighted_mean_arrays(brain, [1, 3]).astype(float).tolist() == [1.0078125]


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64])
def test_integers_are_rounded_half_to_even(dtype: Any) -> None:
    columns = [(0, 1), (1, 2), (2, 3), (3, 4), (10, 10), (5, 8)]
    arrays = [np.array(values, dtype) for values in zip(*columns, strict=True)]
    result = weighted_mean_arrays(arrays, [1, 1])
    assert result.tolist() == [0, 2, 2, 4, 10, 6]
    assert result.dtype == dtype
    assert weighted_mean_arrays(arrays, [1, 3]).tolist() == [1, 2, 3, 4, 10, 7]


def test_negative_integers_too() -> None:
    arrays = [np.array([-1, -3, -128], np.int8), np.array([0, -2, -127], np.int8)]
    assert weighted_mean_arrays(arrays, [1, 1]).tolist() == [0, -2, -128]


def test_booleans_are_a_vote_in_which_a_draw_is_no() -> None:
    arrays = [np.array(values) for values in ([True, True, False], [True, False, False])]
    assert weighted_mean_arrays(arrays, [1, 1]).tolist() == [True, False, False]
    assert weighted_mean_arrays(arrays, [3, 1]).tolist() == [True, True, False]


@pytest.mark.parametrize("value", [2**53 + 1, 2**63 - 1, -(2**63), -(2**53) - 1])
def test_equal_integers_beyond_the_precision_of_floats_stay_exact(value: int) -> None:
    array = np.array([value, 5], np.int64)
    assert weighted_mean_arrays([array, array, array], [0.1, 0.7, 3]).tolist() == [value, 5]


def test_the_largest_integers_do_not_overflow() -> None:
    signed = [np.array([2**63 - 1], np.int64), np.array([2**63 - 2], np.int64)]
    assert 2**63 - 2048 <= weighted_mean_arrays(signed, [1, 1])[0] <= 2**63 - 1
    unsigned = [np.array([2**64 - 1], np.uint64), np.array([2**64 - 2], np.uint64)]
    assert 2**64 - 4096 <= weighted_mean_arrays(unsigned, [1, 1])[0] <= 2**64 - 1


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
def test_complex_numbers_are_averaged_as_they_are(dtype: Any) -> None:
    arrays = [np.array([1 + 2j, 4j], dtype), np.array([3 + 6j, 8], dtype)]
    result = weighted_mean_arrays(arrays, [1, 3])
    assert result.dtype == dtype
    np.testing.assert_allclose(result, [2.5 + 5j, 6 + 1j], rtol=1e-6)


class TestEqualBits:
    @pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, ml_dtypes.bfloat16, ml_dtypes.float8_e5m2])
    def test_an_infinity_in_the_same_place_of_all_stays(self, dtype: Any) -> None:
        arrays = [np.array([-math.inf, math.inf, x, -0.0], dtype) for x in (1, 2, 3)]
        result = weighted_mean_arrays(arrays, [1, 1, 1]).astype(float)
        assert result.tolist() == [-math.inf, math.inf, 2, 0]
        assert math.copysign(1, result[3]) == -1

    def test_a_nan_keeps_its_very_bits(self) -> None:
        array = np.array([0x7FC00123, 0xFFC00456], np.uint32).view(np.float32)
        assert weighted_mean_arrays([array, array], [1, 2]).view(np.uint32).tolist() == [0x7FC00123, 0xFFC00456]

    def test_equal_elements_stay_exactly_equal(self) -> None:
        random = np.random.default_rng(1)
        frozen = random.normal(size=200_000).astype(np.float32)
        sources = []
        for _ in range(7):
            source = frozen.copy()
            source[::3] = random.normal(size=len(source[::3]))
            sources.append(source)
        result = weighted_mean_arrays(sources, [0.1 * (i + 1) for i in range(7)])
        free = np.arange(len(frozen)) % 3 != 0
        assert (result[free] == frozen[free]).all()
        assert (result[~free] != frozen[~free]).all()

    def test_a_few_equal_elements_among_many_stay_exactly_equal(self) -> None:
        random = np.random.default_rng(2)
        sources = [random.normal(size=300_000).astype(np.float32) for _ in range(5)]
        for source in sources:
            source[[7, 100_000, 299_999]] = [-math.inf, 0.1, math.nan]
        result = weighted_mean_arrays(sources, [1, 2, 3, 4, 5])
        assert result[7] == -math.inf
        assert result[100_000] == np.float32(0.1)
        assert np.isnan(result[299_999])
        assert np.isfinite(np.delete(result, [7, 299_999])).all()

    @pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
    def test_complex_numbers_are_equal_in_both_parts_or_not_at_all(self, dtype: Any) -> None:
        arrays = [
            np.array([complex(math.inf, 1), 1 + 1j, 1 + 2j], dtype),
            np.array([complex(math.inf, 1), 1 + 3j, 3 + 2j], dtype),
        ]
        result = weighted_mean_arrays(arrays, [1, 1])
        assert result[0] == complex(math.inf, 1)
        assert result[1:].tolist() == [1 + 2j, 2 + 2j]

    def test_a_single_source_is_copied_bit_by_bit(self) -> None:
        array = np.array([0.1, -0.0, math.nan, math.inf], np.float32)
        assert weighted_mean_arrays([array], [0.3]).tobytes() == array.tobytes()


def test_a_source_of_weight_nought_has_no_say_not_even_by_an_infinity() -> None:
    arrays = [np.array([1.0, 2.0]), np.array([math.inf, math.nan]), np.array([3.0, 6.0])]
    assert weighted_mean_arrays(arrays, [1, 0, 1]).tolist() == [2, 4]
    assert weighted_mean_arrays(arrays[1:], [0, 5]).tolist() == [3, 6]


def test_huge_sample_sizes_are_as_good_as_small_ones() -> None:
    arrays = [np.array([1.0], np.float32), np.array([3.0], np.float32)]
    assert weighted_mean_arrays(arrays, [10**30, 10**30]).tolist() == [2]
    assert weighted_mean_arrays(arrays, [1e-30, 3e-30]).tolist() == [2.5]


@pytest.mark.parametrize(
    "weights", [[], [1], [1, 2, 3], [0, 0], [1, -1], [2, -1], [math.nan, 1], [math.inf, 1]], ids=str
)
def test_weights_that_make_no_mean_are_refused(weights: list[float]) -> None:
    with pytest.raises(ValueError):
        weighted_mean_arrays([np.ones(2), np.ones(2)], weights)


def test_no_arrays_make_no_mean() -> None:
    with pytest.raises(ValueError):
        weighted_mean_arrays([], [])


def test_scalars_and_empty_arrays_have_a_mean_too() -> None:
    result = weighted_mean_arrays([np.array(1.0), np.array(2.0)], [1, 3])
    assert result.shape == ()
    assert result == 1.75
    assert weighted_mean_arrays([np.ones((0, 3)), np.ones((0, 3))], [1, 1]).shape == (0, 3)


def test_the_arrays_layout_in_memory_makes_no_difference() -> None:
    random = np.random.default_rng(3)
    plain = [random.normal(size=(40, 50, 60)).astype(np.float32) for _ in range(3)]
    strided = [plain[0].copy(order="F"), np.repeat(plain[1], 2, axis=1)[:, ::2], plain[2]]
    expected = weighted_mean_arrays(plain, [1, 2, 3])
    assert weighted_mean_arrays(strided, [1, 2, 3]).tobytes() == expected.tobytes()


class TestVectors:
    def test_moments_are_averaged_by_sample_size(self) -> None:
        random = np.random.default_rng(4)
        vectors = [random.normal(size=1000).astype(np.float32) for _ in range(3)]
        result = weighted_mean_vectors(vectors, [5, 1, 2])
        assert result.dtype == np.float32
        expected = np.array([float(value) for value in exact(vectors, [5, 1, 2])])
        np.testing.assert_array_equal(result, expected.astype(np.float32))

    @pytest.mark.parametrize(
        ("dtypes", "expected"),
        [
            ((np.float16, np.float32), np.float32),
            ((np.float16, np.float16), np.float32),
            ((ml_dtypes.bfloat16, ml_dtypes.bfloat16), np.float32),
            ((np.float32, np.float64), np.float64),
        ],
    )
    def test_the_mean_has_room_for_all_of_them(self, dtypes: tuple[Any, Any], expected: Any) -> None:
        result = weighted_mean_vectors([np.full(2, 100, dtypes[0]), np.full(2, 60000, dtypes[1])], [1, 3])
        assert result.dtype == expected
        # The nearest bfloat16 to 60000 is 59904.
        assert result.tolist() == pytest.approx([25 + 0.75 * float(np.array(60000, dtypes[1]))] * 2)

    def test_one_vector_at_a_time_is_asked_for(self) -> None:
        alive = []

        def make() -> Iterator[Array]:
            for value in (1.0, 2.0, 6.0):
                alive.append(value)
                yield np.full(4, value, np.float32)

        assert weighted_mean_vectors(make(), [1, 1, 1]).tolist() == [3, 3, 3, 3]
        assert alive == [1, 2, 6]

    @pytest.mark.parametrize("weights", [[1], [1, 1, 1], [0, 0]])
    def test_weights_that_do_not_fit_are_refused(self, weights: list[float]) -> None:
        with pytest.raises(ValueError):
            weighted_mean_vectors([np.ones(2), np.ones(2)], weights)

    def test_lengths_that_differ_are_refused(self) -> None:
        with pytest.raises(ValueError, match="different lengths"):
            weighted_mean_vectors([np.ones(2), np.ones(3)], [1, 1])
