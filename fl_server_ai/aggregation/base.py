from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from fl_server_core.archive import Archive, ArchiveWriter

if TYPE_CHECKING:
    import torch


class Aggregation(ABC):
    """How the updates of a round become one model."""

    @abstractmethod
    def aggregate(
        self, models: Sequence[torch.nn.Module], model_sample_sizes: Sequence[int], *, deepcopy: bool = True
    ) -> torch.nn.Module:
        """Aggregate modules: for trusted shells, since the server has only files.

        Args:
            models: modules with the same state_dict() names, shapes and dtypes; at least one.
            model_sample_sizes: one weight a model, ≥ 0, not all 0.
            deepcopy: False: the first module itself takes the result.

        Raises:
            ValueError: the lists are empty, differ in length, or the modules do not fit.
        """

    @abstractmethod
    def aggregate_archives(
        self,
        sources: Sequence[Archive],
        sample_sizes: Sequence[int],
        writer: ArchiveWriter,
        *,
        heartbeat: Callable[[], None] | None = None,
    ) -> None:
        """Aggregate archives into the writer's file, block by block. `heartbeat` is called between blocks."""
