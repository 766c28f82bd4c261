from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol, cast

from fl_server_ai.uncertainty.base import Subject, TorchModel, UncertaintyBase, output_of
from fl_server_core.registry import uncertainty_methods
from fl_server_core.schema import UncertaintyOptions

if TYPE_CHECKING:
    import torch


class _Members(Protocol):
    def all(self) -> Iterable[TorchModel]: ...


class _MeanModel(TorchModel, Protocol):
    @property
    def models(self) -> _Members: ...


@uncertainty_methods.register
class Ensemble(UncertaintyBase):
    """One sample from each member of a MeanModel."""

    name = "ENSEMBLE"
    title = "ensemble"
    paper = (
        "Lakshminarayanan, Pritzel and Blundell: Simple and Scalable Predictive Uncertainty Estimation using Deep"
        " Ensembles. NeurIPS 2017."
    )
    model_kind = "MeanModel"

    @classmethod
    def load(cls, model: TorchModel) -> Subject:
        members = cast("_MeanModel", model).models.all()
        return Subject([member.get_torch_model().eval() for member in members])

    @classmethod
    def samples(cls, inputs: torch.Tensor, subject: Subject, _options: UncertaintyOptions, /) -> torch.Tensor:
        import torch

        given = subject.member_inputs or [inputs] * len(subject.members)
        outputs = [output_of(member, own) for member, own in zip(subject.members, given, strict=True)]
        if len({output.shape for output in outputs}) != 1:
            raise ValueError("The members of the ensemble answer in different shapes.")
        return torch.stack(outputs)
