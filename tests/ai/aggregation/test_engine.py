"""What the engine does for every method: types, equal bits, blocks, heartbeats, memory."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch

from fl_server_ai.aggregation import Aggregation, get_aggregation_class
from fl_server_ai.aggregation.archives import aggregate_archives
from fl_server_core.archive import open_archive
from fl_server_core.registry import aggregation_methods
from tests.ai.aggregation.arrays import reduce_arrays
from tests.ai.aggregation.models import Array, Bag, aggregated, arrays, bag, written
from tests.memory import anonymous_memory

NAMES = ["FedAvg", "FedDC", "FedProx", "Median", "TrimmedMean", "MultiKrum", "FedAdam"]


class Largest(Aggregation):
    name = "Largest"
    title = "The largest value"
    paper = "none"
    seen: list[Any] = []

    def reduce(self, block: Array, weights: Array) -> Array:
        self.seen.append((block.dtype, block.shape[0], weights.tolist()))
        largest: Array = np.max(block, axis=0)
        return largest


class Chosen(Largest):
    """The updates with a weight above 1."""

    name = "Chosen"
    distances: Array

    def select(self, distances: Array, weights: Array) -> Array:
        type(self).distances = distances
        return np.where(weights > 1, weights, 0)


@pytest.fixture
def own() -> Iterator[None]:
    for method in (Largest, Chosen):
        aggregation_methods.register(method)
    Largest.seen.clear()
    yield
    for method in (Largest, Chosen):
        aggregation_methods.pop(method.name, None)


def test_these_methods_are_there() -> None:
    assert set(NAMES) <= set(aggregation_methods)
    assert [bool(get_aggregation_class(name)().initial_state()) for name in NAMES] == [False] * 6 + [True]


@pytest.mark.parametrize(
    ("dtype", "wide"),
    [
        (np.float64, np.float64),
        (np.float32, np.float32),
        (np.float16, np.float32),
        (ml_dtypes.bfloat16, np.float32),
        (ml_dtypes.float8_e5m2, np.float32),
        (np.int8, np.float64),
        (np.uint64, np.float64),
        (np.bool_, np.float64),
        (np.complex64, np.complex64),
    ],
)
def test_a_block_has_a_type_that_is_wide_enough(own: None, dtype: Any, wide: Any) -> None:
    found = reduce_arrays(Largest(), [np.array([0, 1]).astype(dtype), np.array([1, 0]).astype(dtype)], [1, 3])
    assert (found.dtype, found.astype(complex).tolist()) == (np.dtype(dtype), [1, 1])
    assert Largest.seen == [(np.dtype(wide), 2, [0.25, 0.75])]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_what_is_equal_in_all_updates_keeps_its_bits(tmp_path: Path, name: str, dtype: torch.dtype) -> None:
    kept = torch.tensor([0.1, -0.0, math.inf, -math.inf, math.nan], dtype=dtype)
    large = torch.tensor([2**53 + 1, 2**63 - 1])
    models = [Bag({}, {"x": torch.cat([kept, torch.tensor([i], dtype=dtype)]), "n": large}) for i in range(5)]
    found = aggregated(tmp_path, models, name)
    assert found["x"][:5].tobytes() == kept.view(torch.uint8).numpy().tobytes()
    assert found["n"].tolist() == large.tolist()


def test_beside_an_element_that_takes_no_step_one_that_is_equal_in_all_updates_still_takes_its_own(
    tmp_path: Path,
) -> None:
    updates = [bag([math.inf, 2.0]), bag([math.inf, 2.0])]
    (current,) = written(tmp_path, [bag([0.0, 1.0])], "model")
    options = {"lr": 0.1, "beta1": 0, "beta2": 0, "tau": 1}
    found = aggregated(tmp_path, updates, "FedAdam", template=current, options=options)["w"]
    assert found.tolist() == [math.inf, pytest.approx(1 + 0.1 * 1 / 2)]


def test_a_parameter_that_takes_no_step_keeps_its_bits(tmp_path: Path) -> None:
    bits = np.array([0x7FA5, 0x3F80], np.uint16)  # a NaN that a conversion to another type and back would change
    update = torch.from_numpy(bits.view(np.int16)).view(torch.bfloat16)
    found = aggregated(tmp_path, [Bag({"w": update}, {})] * 2, "FedAdam")["w"]
    assert found.view(np.uint16).tolist() == bits.tolist()


@pytest.mark.parametrize("name", NAMES)
def test_the_same_input_gives_the_same_bits_and_blocks_do_not_show(tmp_path: Path, name: str) -> None:
    torch.manual_seed(3)
    values = torch.randn(5, 150_000)
    models = [{"x": row} for row in values]
    whole = aggregated(tmp_path, models, name)["x"]
    assert aggregated(tmp_path, models, name)["x"].tobytes() == whole.tobytes()
    tail = aggregated(tmp_path, [{"x": row[140_000:]} for row in values], name)["x"]
    if name != "MultiKrum":  # which looks at all elements together
        assert tail.tobytes() == whole[140_000:].tobytes()


@pytest.mark.parametrize("name", NAMES)
def test_the_layout_of_a_tensor_in_its_file_makes_no_difference(tmp_path: Path, name: str) -> None:
    torch.manual_seed(4)
    values = [torch.randn(60, 70) for _ in range(5)]
    plain = aggregated(tmp_path, [{"x": value} for value in values], name)["x"]
    turned = [{"x": value.t().contiguous().t()} for value in values]
    assert aggregated(tmp_path, turned, name)["x"].tobytes() == plain.tobytes()
    mixed = [turned[0], {"x": values[1]}, *turned[2:]]
    assert aggregated(tmp_path, mixed, name)["x"].tobytes() == plain.tobytes()


def test_tied_tensors_are_aggregated_once(own: None, tmp_path: Path) -> None:
    def tied(value: float) -> dict[str, torch.Tensor]:
        tensor = torch.tensor([value])
        return {"a": tensor, "b": tensor, "c": torch.tensor([-value])}

    found = aggregated(tmp_path, [tied(1.0), tied(2.0)], "Largest")
    assert [found[name].tolist() for name in "abc"] == [[2], [2], [-1]]
    assert len(Largest.seen) == 2


def test_what_is_not_selected_is_not_read(own: None, tmp_path: Path) -> None:
    models = [bag([1.0, 0.0]), bag([9.0, 9.0]), bag([1.0, 2.0])]
    assert aggregated(tmp_path, models, "Chosen", weights=[2, 1, 6])["w"].tolist() == [1, 2]
    assert Chosen.distances.tolist() == [[0, 145, 4], [145, 0, 113], [4, 113, 0]]
    assert Largest.seen == [(np.float32, 2, [0.25, 0.75])]


@pytest.mark.parametrize("name", ["Median", "MultiKrum", "FedAdam"])
def test_the_heartbeat_is_heard_and_its_error_leaves_no_file(tmp_path: Path, name: str) -> None:
    paths = written(tmp_path, [torch.full((3 << 20,), float(i)) for i in range(8)])
    archives = [open_archive(path) for path in paths]
    beats: list[int] = []
    out, state = tmp_path / "new.pt", tmp_path / "state"

    def run(heartbeat: Any) -> None:
        aggregate_archives(archives[0], archives, [1] * 8, out, method=name, state_out=state, heartbeat=heartbeat)

    class Lost(Exception):
        pass

    def lost() -> None:
        raise Lost

    with pytest.raises(Lost):
        run(lost)
    assert not out.exists()
    assert not state.exists()
    run(lambda: beats.append(1))
    assert beats
    assert out.exists()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_anonymous_memory_is_that_of_a_few_blocks(tmp_path: Path, name: str, dtype: torch.dtype) -> None:
    paths = []
    for number in range(5):
        paths += written(tmp_path / str(number), [{"x": torch.full((12 << 20,), float(number), dtype=dtype)}])
    archives = [open_archive(path) for path in paths]
    peaks: list[int] = []
    before = anonymous_memory()
    aggregate_archives(
        archives[0],
        archives,
        [1] * 5,
        tmp_path / "new.pt",
        method=name,
        state_out=tmp_path / "state",
        heartbeat=lambda: peaks.append(anonymous_memory() - before),
    )
    assert peaks
    assert max(peaks) < 40 << 20
    if name == "FedAdam":
        assert (tmp_path / "state").stat().st_size > 2 * 4 * (12 << 20)
    else:
        assert not (tmp_path / "state").exists()


def test_an_unknown_method_is_named_with_those_that_are_known(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"Unknown aggregation method 'Sum'\. Known are FedAvg, "):
        aggregated(tmp_path, [bag([1.0])], "Sum")


def test_a_bare_state_dict_has_no_buffers_that_are_told_apart(tmp_path: Path) -> None:
    paths = written(tmp_path, [{"x": torch.zeros(1), "n": torch.tensor(1)}, {"x": torch.ones(1), "n": torch.tensor(3)}])
    with open_archive(paths[0]) as old, open_archive(paths[1]) as update:
        aggregate_archives(old, [update], [1], tmp_path / "new.pt", method="FedAdam")
    found = arrays(tmp_path / "new.pt")
    assert found["n"] == 3
    assert found["x"].tolist() == [pytest.approx(0.01 * 0.1 / (math.sqrt(0.99e-6 + 0.01) + 0.001), rel=1e-5)]
