"""What every method has in common: samples of the output, and measures of their spread."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from fl_server_ai.uncertainty import measures
from fl_server_core.schema import UncertaintyOptions

if TYPE_CHECKING:
    import torch

    Prediction = tuple[torch.Tensor, dict[str, torch.Tensor | None]]


MEASURES = ("variance", "std", "predictive_entropy", "expected_entropy", "mutual_info")


@dataclass(frozen=True)
class Subject:
    """What is asked: one module, or the members of an ensemble; for SWAG the moments of its parameters.

    Modules are on the device of the inputs and in evaluation mode. first_moment, second_moment: E[w] and E[w²], on the
    CPU, shape (parameters,), in the order of named_parameters(). member_inputs: what each member is asked, where that
    is not the same for all.
    """

    members: Sequence[torch.nn.Module]
    first_moment: torch.Tensor | None = None
    second_moment: torch.Tensor | None = None
    seed: int | None = None
    member_inputs: Sequence[torch.Tensor] = ()

    @property
    def model(self) -> torch.nn.Module:
        return self.members[0]


class _Training(Protocol):
    @property
    def options(self) -> Mapping[str, Any]: ...


class TorchModel(Protocol):
    """What the classes below need of a model's row."""

    def get_torch_model(self) -> torch.nn.Module: ...

    def get_training(self) -> _Training | None: ...


class UncertaintyBase(ABC):
    """A way of asking a model that also says how sure it is. `Method` in fl_server_core.registry explains the rest.

    measures: the names of what `predict` may say beside the inference.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    paper: ClassVar[str] = ""
    # UncertaintyOptions or a subclass. Any, since the type of a protocol's variable is invariant.
    Options: ClassVar[type[Any]] = UncertaintyOptions
    model_kind: ClassVar[str] = "GlobalModel"
    round_kind: ClassVar[str] = ""
    measures: ClassVar[tuple[str, ...]] = MEASURES

    @classmethod
    def prediction(cls, input: torch.Tensor, model: TorchModel) -> Prediction:  # noqa: A002  a public name
        """Load the model into this process and ask it: for trusted shells, the server asks its sandbox.

        Returns the inference and the measures by name, all on the CPU.
        """
        training = model.get_training()
        options = cls.Options.from_training(training.options if training else {})
        return cls.predict(input, cls.load(model), options)

    @classmethod
    def load(cls, model: TorchModel) -> Subject:
        """What `predict` asks, from a row."""
        return Subject([model.get_torch_model().eval()])

    @classmethod
    def predict(cls, inputs: torch.Tensor, subject: Subject, options: UncertaintyOptions, /) -> Prediction:
        """The mean over the samples and what they say of its uncertainty.

        Raises:
            ValueError: this method cannot ask this model. What the model itself raises goes through.
        """
        import torch

        with torch.no_grad():
            samples = real(cls.samples(inputs, subject, options)).cpu()
            return summary(probabilities(samples) if options.softmax else samples)

    @classmethod
    @abstractmethod
    def samples(cls, inputs: torch.Tensor, subject: Subject, options: UncertaintyOptions, /) -> torch.Tensor:
        """Outputs for the same inputs, shape (N, *output). Called without gradients."""


def summary(samples: torch.Tensor) -> Prediction:
    """Mean, variance and std of the samples (N, rows, …), and the entropies where they are probabilities."""
    import torch

    array = samples.numpy()
    said: dict[str, measures.Array | None] = {"variance": measures.variance(array), "std": measures.std(array)}
    if measures.is_probability_like(array):
        said["predictive_entropy"] = measures.predictive_entropy(array)
        said["expected_entropy"] = measures.expected_entropy(array)
        said["mutual_info"] = measures.mutual_info(array)
    tensors = {
        name: None if value is None else torch.from_numpy(value).to(samples.dtype) for name, value in said.items()
    }
    return samples.mean(dim=0), tensors


def output_of(model: torch.nn.Module, inputs: torch.Tensor) -> torch.Tensor:
    """The model's output, whatever it does to its input meanwhile. Raises ValueError where it is not a tensor."""
    import torch

    output = model(inputs.clone())
    if not isinstance(output, torch.Tensor):
        raise ValueError(f"The model's output is a {type(output).__name__}, not a tensor.")
    return output.detach()


def probabilities(samples: torch.Tensor) -> torch.Tensor:
    """The softmax over the classes of samples (N, rows, classes, …). Raises ValueError where there are no classes."""
    if samples.ndim < 3:
        raise ValueError("softmax needs an output of rows and classes; this model's has fewer dimensions.")
    return samples.softmax(dim=2)


def real(samples: torch.Tensor) -> torch.Tensor:
    """The samples in float32, or float64 where they were. Raises ValueError for complex numbers."""
    import torch

    if samples.is_complex():
        raise ValueError("The model's output is complex.")
    return samples if samples.dtype is torch.float64 else samples.float()
