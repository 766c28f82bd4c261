"""What a participant works on: a torch module, or arrays by name."""

from __future__ import annotations

from typing import Any, Protocol

from .errors import MissingPackage, UnreadableModel


class ModelFormat(Protocol):
    """How a model's file becomes an object, and back. form: the `form` of `Client.download`."""

    form: str

    def load(self, data: bytes) -> Any:
        """Read a model's file. Raises UnreadableModel."""
        ...

    def save(self, model: Any) -> bytes:
        """Write an update's file."""
        ...

    def parameters(self, model: Any) -> Any:
        """Copies of the parameters, which FedProx compares with: see `Round.start`."""
        ...


class TorchFormat:
    """Modules of PyTorch, scripted or pickled; an update is written as the model came."""

    form = "torch"

    def __init__(self, *, trust_coordinator: bool = False) -> None:
        """trust_coordinator: load modules of any class, which runs the code of whoever uploaded the model."""
        self._trust = trust_coordinator

    def load(self, data: bytes) -> Any:
        """A `torch.nn.Module`, on the CPU. Raises UnreadableModel, MissingPackage."""
        return _model_files().load_model(data, trust=self._trust)

    def save(self, model: Any) -> bytes:
        """The module's file."""
        return bytes(_model_files().save_model(model))

    def parameters(self, model: Any) -> Any:
        """A tuple of tensors, in the order of `parameters()`."""
        return tuple(parameter.detach().clone() for parameter in model.parameters())


class NumpyFormat:
    """Arrays by name, without torch: dict[str, numpy.ndarray]. Carried as safetensors, which hold no code."""

    form = "safetensors"

    def load(self, data: bytes) -> Any:
        """The model's parameters and buffers, writable. Raises UnreadableModel, MissingPackage."""
        safetensors = _safetensors()
        try:
            return {name: array.copy() for name, array in safetensors.numpy.load(data).items()}
        except (ValueError, TypeError, KeyError, safetensors.SafetensorError) as error:
            raise UnreadableModel(f"the model file cannot be loaded: {error}") from error

    def save(self, model: Any) -> bytes:
        """The arrays as safetensors."""
        return bytes(_safetensors().numpy.save({name: array.copy(order="C") for name, array in model.items()}))

    def parameters(self, model: Any) -> Any:
        """Arrays by name."""
        return {name: array.copy() for name, array in model.items()}


def vector_file(vector: Any) -> bytes:
    """The file of one of SWAG's moments, a tensor or an array. Raises MissingPackage."""
    return bytes(_model_files().save_tensor(vector))


def _model_files() -> Any:
    try:
        from . import model_files
    except ModuleNotFoundError as error:
        raise MissingPackage("torch", "torch") from error
    return model_files


def _safetensors() -> Any:
    try:
        import safetensors.numpy
    except ModuleNotFoundError as error:
        raise MissingPackage("numpy and safetensors", "numpy") from error
    return safetensors
