"""FedAdam, against its formulas in float64 and against a round after the other in memory."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fl_server_ai.aggregation import CannotAggregate, aggregate_files, get_aggregation_class
from tests.ai.aggregation.models import Array, Bag, arrays, bag, written


class Server:
    """The model of a training and its state, from round to round in files."""

    def __init__(self, folder: Path, model: object, **options: float) -> None:
        self.folder = folder
        self.options = options
        (self.model,) = written(folder, [model], "model")
        self.round = 0

    @property
    def state(self) -> Path:
        return self.folder / f"state{self.round}"

    def aggregate(self, updates: list[Any], weights: list[int]) -> dict[str, Array]:
        paths = written(self.folder, updates)
        old, out = self.state if self.round else None, self.folder / f"round{self.round + 1}.pt"
        self.round += 1
        aggregate_files(
            paths,
            weights,
            out,
            "FedAdam",
            template=self.model,
            options=self.options,
            state=old,
            state_out=self.state,
        )
        self.model = out
        return arrays(out)


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-13), (torch.float32, 2e-6), (torch.bfloat16, 2e-2)], ids=str
)
@pytest.mark.parametrize("options", [{}, {"lr": 0.5, "beta1": 0.5, "beta2": 0, "tau": 1}], ids=["default", "other"])
def test_rounds_follow_the_formulas_of_the_paper(
    tmp_path: Path, dtype: torch.dtype, tolerance: float, options: dict[str, float]
) -> None:
    torch.manual_seed(0)
    start = torch.randn(300, dtype=torch.float64).to(dtype)
    server = Server(tmp_path, Bag({"w": start}, {}), **options)
    lr, beta1, beta2, tau = ({"lr": 0.01, "beta1": 0.9, "beta2": 0.99, "tau": 0.001} | options).values()
    x, m, v = start.double(), torch.zeros(300).double(), torch.full((300,), tau**2, dtype=torch.float64)
    for _ in range(4):
        updates = [(x + torch.randn(300)).to(dtype) for _ in range(3)]
        found = server.aggregate([Bag({"w": update}, {}) for update in updates], [1, 2, 5])["w"]
        delta = sum(n / 8 * update.double() for n, update in zip((1, 2, 5), updates, strict=True)) - x
        m = beta1 * m + (1 - beta1) * delta
        v = beta2 * v + (1 - beta2) * delta**2
        x = x + lr * m / (v.sqrt() + tau)
        np.testing.assert_allclose(found.astype(np.float64), x, rtol=tolerance, atol=tolerance)
        x = torch.from_numpy(found.astype(np.float64))  # rounded as the server's model is


def test_a_state_from_a_file_goes_on_as_one_in_memory_bit_by_bit(tmp_path: Path) -> None:
    method = get_aggregation_class("FedAdam")({})
    rng = np.random.default_rng(1)
    x: Array = rng.normal(size=200_000).astype(np.float32)
    state = {"m": np.zeros_like(x), "v": np.full_like(x, 0.001**2)}
    server = Server(tmp_path, bag(x.tolist()))
    for _ in range(3):
        update: Array = rng.normal(size=x.size).astype(np.float32)
        x, state = method.step(x, update, state)
        assert server.aggregate([bag(update.tolist())], [1])["w"].tobytes() == x.tobytes()


def test_equal_input_gives_an_equal_state_file(tmp_path: Path) -> None:
    files = []
    for number in range(2):
        server = Server(tmp_path / str(number), bag([1.0, 2.0]))
        for value in (3.0, 4.0):
            server.aggregate([bag([value, value])], [1])
        files.append((server.state.read_bytes(), server.model.read_bytes()))
    assert files[0] == files[1]


def test_buffers_and_integers_take_the_weighted_mean(tmp_path: Path) -> None:
    def model(value: float, number: int) -> Bag:
        number_tensor = torch.tensor([number])
        return Bag(
            {"w": torch.tensor([value]), "n": number_tensor}, {"mean": torch.tensor([value]), "steps": number_tensor}
        )

    found = Server(tmp_path, model(0.0, 0)).aggregate([model(4.0, 1), model(8.0, 2)], [1, 3])
    assert (found["mean"].tolist(), found["n"].tolist(), found["steps"].tolist()) == ([7], [2], [2])
    # m = 0.1 · 7, v = 0.99 · 10⁻⁶ + 0.01 · 49
    expected = 0.01 * 0.7 / (math.sqrt(0.99e-6 + 0.49) + 0.001)
    assert found["w"].tolist() == [pytest.approx(expected, rel=1e-6)]


def test_complex_parameters_take_the_weighted_mean(tmp_path: Path) -> None:
    server = Server(tmp_path, bag([0], torch.complex64))
    assert server.aggregate([bag([2j], torch.complex64), bag([4], torch.complex64)], [1, 1])["w"].tolist() == [2 + 1j]


def test_an_element_that_is_equal_in_all_updates_still_moves(tmp_path: Path) -> None:
    server = Server(tmp_path, bag([1.0]), lr=0.1, beta1=0, beta2=0, tau=1)
    assert server.aggregate([bag([2.0]), bag([2.0])], [1, 1])["w"].tolist() == [pytest.approx(1 + 0.1 * 1 / 2)]


def test_an_infinity_in_all_stays_and_leaves_the_state_as_it_was(tmp_path: Path) -> None:
    server = Server(tmp_path, bag([-math.inf, 0.0, 1.0]), lr=0.1, beta1=0.5, beta2=0.5, tau=1)
    found = server.aggregate([bag([-math.inf, 1.0, math.inf]), bag([-math.inf, 3.0, math.inf])], [1, 1])["w"]
    assert found.tolist() == [-math.inf, pytest.approx(0.1 * 1 / (math.sqrt(0.5 + 2) + 1)), math.inf]
    with np.errstate(all="raise"):
        stored = np.frombuffer(server.state.read_bytes()[-24:], np.float32)
    assert stored.tolist() == [0, 1, 0, 1, 2.5, 1]


def test_without_a_state_it_starts_afresh(tmp_path: Path) -> None:
    paths = written(tmp_path, [bag([0.0]), bag([1.0])])
    results = []
    for state_out in (None, tmp_path / "state"):
        aggregate_files(paths, [1, 1], tmp_path / "new.pt", "FedAdam", state_out=state_out)
        results.append((tmp_path / "new.pt").read_bytes())
    assert results[0] == results[1]


def test_the_state_of_another_model_is_refused_and_leaves_no_file(tmp_path: Path) -> None:
    other = Server(tmp_path / "other", bag([1.0, 2.0]))
    other.aggregate([bag([1.0, 2.0])], [1])
    paths = written(tmp_path, [bag([1.0])])
    new = (tmp_path / "new.pt", tmp_path / "new-state")
    for content in (other.state.read_bytes(), b"", b"\0" * other.state.stat().st_size):
        (tmp_path / "old").write_bytes(content)
        with pytest.raises(CannotAggregate, match="belongs to another model or method"):
            aggregate_files(paths, [1], new[0], "FedAdam", state=tmp_path / "old", state_out=new[1])
    assert not any(path.exists() for path in new)


def test_modules_are_moved_from_the_first_one() -> None:
    method = get_aggregation_class("FedAdam")({"lr": 0.1, "beta1": 0, "beta2": 0, "tau": 1})
    result = method.aggregate([bag([1.0]), bag([3.0])], [1, 1])
    assert result.state_dict()["w"].tolist() == [pytest.approx(1 + 0.1 * 1 / 2)]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"tau": 1e300}, "aggregation.tau must be a number above 0 and at most 1000000."),
        ({"lr": 0}, "aggregation.lr must be a number above 0 and at most 1000000."),
        ({"tau": 0}, "aggregation.tau must be a number above 0 and at most 1000000."),
        ({"tau": "1"}, "aggregation.tau must be a number above 0 and at most 1000000."),
        ({"beta1": 1}, "aggregation.beta1 must be a number of at least 0 and below 1."),
        ({"beta2": -0.1}, "aggregation.beta2 must be a number of at least 0 and below 1."),
    ],
)
def test_numbers_that_cannot_be_are_refused(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(CannotAggregate) as caught:
        get_aggregation_class("FedAdam")(options)
    assert str(caught.value) == sentence
