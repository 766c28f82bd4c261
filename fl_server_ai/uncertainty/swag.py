from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, cast

from fl_server_ai.uncertainty.base import Subject, TorchModel, UncertaintyBase, output_of
from fl_server_core.registry import uncertainty_methods
from fl_server_core.schema import UncertaintyOptions

if TYPE_CHECKING:
    import torch

VARIANCE_FLOOR = 1e-30


class _SWAGModel(TorchModel, Protocol):
    @property
    def first_moment(self) -> torch.Tensor: ...

    @property
    def second_moment(self) -> torch.Tensor: ...


@uncertainty_methods.register
class SWAG(UncertaintyBase):
    """N models drawn from a Gaussian over the weights."""

    name = "SWAG"
    title = "SWAG"
    paper = (
        "Maddox, Garipov, Izmailov, Vetrov and Wilson: A Simple Baseline for Bayesian Uncertainty in Deep Learning."
        " NeurIPS 2019. Its diagonal variant, SWAG-Diag."
    )
    model_kind = "SWAGModel"
    round_kind = "swag"

    @classmethod
    def load(cls, model: TorchModel) -> Subject:
        row = cast("_SWAGModel", model)
        return Subject([row.get_torch_model().eval()], row.first_moment, row.second_moment)

    @classmethod
    def samples(cls, inputs: torch.Tensor, subject: Subject, options: UncertaintyOptions, /) -> torch.Tensor:
        """Raises ValueError without moments, or where they are not as long as the model has parameters."""
        import torch

        if subject.first_moment is None or subject.second_moment is None:
            raise ValueError("The model has no SWAG moments yet.")
        generator = None if subject.seed is None else torch.Generator().manual_seed(subject.seed)
        drawn = weight_samples(
            subject.first_moment, subject.second_moment, count=options.N, scale=options.scale, generator=generator
        )
        with _restored(subject.model):
            return torch.stack([_output_with(subject.model, weights, inputs) for weights in drawn])


def weight_samples(
    first_moment: torch.Tensor,
    second_moment: torch.Tensor,
    *,
    count: int,
    scale: float = 1.0,
    generator: torch.Generator | None = None,
) -> Iterator[torch.Tensor]:
    """`count` vectors from N(E[w], scale² · diag(max(E[w²] − E[w]², 1e-30))), shape (parameters,), float64.

    In float64, since the difference of two nearly equal squares is what the variance is made of.
    """
    import torch

    mean = first_moment.double()
    deviation = scale * (second_moment.double() - mean.square()).clamp(min=VARIANCE_FLOOR).sqrt()
    for _ in range(count):
        yield mean + deviation * torch.randn(mean.shape, dtype=mean.dtype, generator=generator)


def set_parameters(model: torch.nn.Module, weights: torch.Tensor) -> None:
    """Write a vector over the parameters in the order of named_parameters(), tied ones once.

    Raises:
        ValueError: the vector is not as long as there are parameters.
    """
    parameters = [parameter for _, parameter in model.named_parameters()]
    count = sum(parameter.numel() for parameter in parameters)
    if weights.shape != (count,):
        raise ValueError(f"The SWAG moments have {weights.numel()} entries, the model has {count} parameters.")
    start = 0
    for parameter in parameters:
        end = start + parameter.numel()
        parameter.copy_(weights[start:end].view_as(parameter))
        start = end


def _output_with(model: torch.nn.Module, weights: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
    set_parameters(model, weights)
    return output_of(model, inputs)


@contextmanager
def _restored(model: torch.nn.Module) -> Iterator[None]:
    """Give the model its own parameters back, whatever happens: it is kept for later jobs."""
    saved = [(parameter, parameter.clone()) for parameter in model.parameters()]
    try:
        yield
    finally:
        for parameter, value in saved:
            parameter.copy_(value)
