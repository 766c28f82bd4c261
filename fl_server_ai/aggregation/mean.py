from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from fl_server_ai.aggregation.base import Aggregation
from fl_server_ai.aggregation.kernel import weighted_mean, weighted_mean_arrays
from fl_server_core.archive import Archive, ArchiveWriter

if TYPE_CHECKING:
    import torch


class MeanAggregation(Aggregation):
    """The mean of the models, weighted by sample size.

    McMahan et al., "Communication-Efficient Learning of Deep Networks from Decentralized Data", AISTATS 2017,
    Algorithm 1: w = Σ_k (n_k / n) w_k, here for buffers too.
    """

    def aggregate(
        self, models: Sequence[torch.nn.Module], model_sample_sizes: Sequence[int], *, deepcopy: bool = True
    ) -> torch.nn.Module:
        if not models or len(models) != len(model_sample_sizes):
            raise ValueError("As many models as sample sizes are needed, at least one of each.")
        result = copy.deepcopy(models[0]) if deepcopy else models[0]
        states = [model.state_dict() for model in models]
        names = list(states[0])
        if any(list(state) != names for state in states):
            raise ValueError("The models have parameters and buffers of different names.")
        result.load_state_dict({name: _mean([state[name] for state in states], model_sample_sizes) for name in names})
        return result

    def aggregate_archives(
        self,
        sources: Sequence[Archive],
        sample_sizes: Sequence[int],
        writer: ArchiveWriter,
        *,
        heartbeat: Callable[[], None] | None = None,
    ) -> None:
        weighted_mean(sources, sample_sizes, writer, heartbeat=heartbeat)


def _mean(tensors: list[torch.Tensor], weights: Sequence[int]) -> torch.Tensor:
    import torch

    if any(tensor.shape != tensors[0].shape or tensor.dtype != tensors[0].dtype for tensor in tensors):
        raise ValueError("The models have tensors of different shapes or dtypes.")
    if tensors[0].dtype == torch.bfloat16:  # NumPy has none: the kernel sums half precision in float32 all the same
        wide = weighted_mean_arrays([tensor.float().numpy(force=True) for tensor in tensors], weights)
        return torch.from_numpy(wide).to(torch.bfloat16)
    return torch.from_numpy(weighted_mean_arrays([tensor.numpy(force=True) for tensor in tensors], weights))
