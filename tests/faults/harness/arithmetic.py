"""What participants compute, and what the server should make of it: deterministic to the last bit."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from tests.builders.files import saved

Weights = dict[str, np.ndarray]


def model_file(width: int = 8) -> tuple[bytes, Weights]:
    """A linear layer from `width` to `width`: the file that an actor uploads, and its weights."""
    module = torch.nn.Sequential(torch.nn.Linear(width, width))
    generator = torch.Generator().manual_seed(width)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return saved(module), weights_of(saved(module))


def weights_of(content: bytes) -> Weights:
    """The weights in a model's file."""
    module = torch.load(io.BytesIO(content), weights_only=False)
    return {name: tensor.numpy().copy() for name, tensor in module.state_dict().items()}


def sample_size(number: int, round: int) -> int:
    """How many samples participant `number` says to have had: uneven, and different in each round."""
    return 10 + 7 * number + round % 3


def update_of(weights: Mapping[str, np.ndarray], number: int, round: int) -> Weights:
    """What participant `number` makes of the global weights in a round."""
    generator = np.random.default_rng((number, round))
    return {
        name: (value * np.float32(0.75) + generator.standard_normal(value.shape, dtype=np.float32)).astype(np.float32)
        for name, value in sorted(weights.items())
    }


def state_file(weights: Mapping[str, np.ndarray]) -> bytes:
    """The weights as a state dict's file: the same bytes each time."""
    return saved({name: torch.from_numpy(value) for name, value in weights.items()})


def moments_of(weights: Mapping[str, np.ndarray], number: int) -> tuple[np.ndarray, np.ndarray]:
    """SWAG's moments of somebody who has visited two places, weights ± something of its own."""
    vector = np.concatenate([weights[name].reshape(-1) for name in ("0.weight", "0.bias")])
    distance = np.float32(number + 1)
    second = (vector * vector + distance * distance).astype(np.float32)
    return vector, second


def simulate(start: Mapping[str, np.ndarray], counted: Sequence[Sequence[int]]) -> Weights:
    """The global weights after rounds in which the updates of these participants counted, in this order.

    The weighted mean, in float32, summed in the order of the participants. This repeats the server's arithmetic and
    none of its code; a run without faults shows that the two agree to the last bit.
    """
    weights = {name: value.copy() for name, value in start.items()}
    for round, numbers in enumerate(counted):
        total = math.fsum(sample_size(number, round) for number in numbers)
        updates = [(update_of(weights, number, round), sample_size(number, round) / total) for number in numbers]
        for name in weights:
            mean = np.zeros_like(weights[name])
            for update, share in updates:
                mean += update[name] * np.float32(share)
            weights[name] = mean
    return weights


def are_bitwise_equal(one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]) -> bool:
    """Are these the same names with the same bits?"""
    if sorted(one) != sorted(other):
        return False
    return all(one[name].dtype == other[name].dtype and one[name].tobytes() == other[name].tobytes() for name in one)
