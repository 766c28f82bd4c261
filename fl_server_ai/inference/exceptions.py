"""How an inference is refused."""

from __future__ import annotations

from fl_server_core.exceptions import DomainError, InvalidRequest, InvalidValue


class ModelRunError(InvalidRequest):
    """The model could not be run, or not on this input; the text is the model's own message where it has one."""


class ModelNotTrusted(ModelRunError):
    """The model names what this server does not import: with other settings it might run."""


class ModelStopped(ModelRunError):
    """The model took too long or too much, or crashed: what it would have answered is not known."""


class InvalidInput(InvalidValue):
    """What was sent as model_input cannot be read."""


class InputShapeMismatch(InvalidValue):
    """The input does not fit the model's input_shape."""

    def __init__(self) -> None:
        super().__init__("Input shape does not match model input shape.")


class SandboxBusy(DomainError):
    """Every sandboxed process was busy for as long as a request waits: the same request may succeed later."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"{reason} Please try again later.")


class SandboxFailed(DomainError):
    """No sandboxed process could be started: a fault of the server's set-up, told in its log."""

    def __init__(self) -> None:
        super().__init__("Models cannot be run on this server at the moment: its sandbox does not start. See its log.")
