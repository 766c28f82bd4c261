from __future__ import annotations

from typing import TYPE_CHECKING

from fl_server_ai.uncertainty.base import Subject, UncertaintyBase, output_of
from fl_server_core.registry import uncertainty_methods
from fl_server_core.schema import UncertaintyOptions

if TYPE_CHECKING:
    import torch

    from fl_server_ai.uncertainty.base import Prediction


@uncertainty_methods.register
class NoneUncertainty(UncertaintyBase):
    """The most likely class of each row, and nothing about how likely it is."""

    name = "NONE"
    title = "none"
    measures = ()

    @classmethod
    def predict(cls, inputs: torch.Tensor, subject: Subject, options: UncertaintyOptions, /) -> Prediction:
        """The arg-max over dimension 1. Softmax does not move it.

        Raises:
            ValueError: the output has no dimension 1.
        """
        import torch

        with torch.no_grad():
            (output,) = cls.samples(inputs, subject, options)
        if output.ndim < 2:
            raise ValueError(
                f"The most likely class is looked for in dimension 1; the model's output has the shape"
                f" {tuple(output.shape)}."
            )
        return output.argmax(dim=1), {}

    @classmethod
    def samples(cls, inputs: torch.Tensor, subject: Subject, _options: UncertaintyOptions, /) -> torch.Tensor:
        return output_of(subject.model, inputs).unsqueeze(0)
