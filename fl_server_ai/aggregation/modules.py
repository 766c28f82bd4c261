"""Methods on torch's modules, for trusted shells. The server never imports this."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from fl_server_ai.aggregation.base import Aggregation
from fl_server_ai.aggregation.engine import Arrays, Engine
from fl_server_ai.aggregation.exceptions import CannotAggregate
from fl_server_ai.aggregation.state import Layout, State
from fl_server_core.archive import TensorInfo
from fl_server_core.archive.dtypes import DTYPES, is_floating

Array = np.ndarray[Any, Any]


def aggregate_modules(
    method: Aggregation, models: Sequence[torch.nn.Module], sample_sizes: Sequence[int], *, deepcopy: bool
) -> torch.nn.Module:
    """See `Aggregation.aggregate`."""
    if not models or len(models) != len(sample_sizes):
        raise ValueError("Give at least one model, and one sample size for each.")
    states = [model.state_dict() for model in models]
    _check_alike(states)
    _check_order(method, states[0])
    sources = [Arrays({name: _array(tensor) for name, tensor in state.items()}) for state in states]
    floating = [name for name, tensor in states[0].items() if is_floating(_dtype(tensor))]
    parameters = [name for name, _ in models[0].named_parameters() if name in floating]
    infos = {name: _info(name, states[0][name]) for name in parameters}
    engine = Engine(method, sources[0], sources, sample_sizes)
    engine.prepare(parameters, [name for name in floating if name not in parameters])
    new = {}
    with State(Layout.of(method, infos), method.initial_state(), None, None) as state:
        for name, tensor in states[0].items():
            parts = list(engine.results(name, state if name in infos else None))
            new[name] = _tensor(parts, tensor)
    result = copy.deepcopy(models[0]) if deepcopy else models[0]
    result.load_state_dict(new)
    return result


def _check_alike(states: list[dict[str, torch.Tensor]]) -> None:
    first = states[0]
    for state in states:
        if list(state) != list(first):
            raise ValueError("The models have parameters and buffers of different names.")
        for name, tensor in state.items():
            if tensor.shape != first[name].shape or tensor.dtype != first[name].dtype:
                raise ValueError("The models have tensors of different shapes or dtypes.")


def _check_order(method: Aggregation, state: dict[str, torch.Tensor]) -> None:
    for name, tensor in state.items():
        if method.is_ordering and tensor.is_complex():
            raise CannotAggregate(f"{method.title} cannot order the complex numbers of the tensor {name!r}.")


def _array(tensor: torch.Tensor) -> Array:
    dtype = DTYPES[_dtype(tensor)]  # NumPy has no type of its own for some, so go by bytes
    flat = tensor.detach().cpu().resolve_conj().resolve_neg().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().view(dtype).reshape(tuple(tensor.shape))


def _tensor(parts: list[Array], like: torch.Tensor) -> torch.Tensor:
    if not parts:
        return torch.empty_like(like)
    content = np.concatenate([part.view(np.uint8) for part in parts])
    return torch.from_numpy(content).view(like.dtype).reshape(like.shape)


def _info(name: str, tensor: torch.Tensor) -> TensorInfo:
    return TensorInfo(name, _dtype(tensor), tuple(tensor.shape), name, 0, tuple(tensor.stride()))


def _dtype(tensor: torch.Tensor) -> str:
    """The type's name, as archives have it."""
    return str(tensor.dtype).removeprefix("torch.")
