"""Why a job was refused or failed. Each text is a sentence for the person who asked."""

from __future__ import annotations


class SandboxError(Exception):
    """A job has no reply."""


class ModelRunError(SandboxError):
    """The model could not be run, or not on this input. The text is the model's own message where it has one."""


class ModelNotTrusted(ModelRunError):
    """The model names what this sandbox does not import. With other settings it might run."""


class NeedsAllWalls(ModelRunError):
    """The model is TorchScript, and this process lacks walls because of its device. The CPU's sandbox can run it."""


class ModelStopped(ModelRunError):
    """The model took too long or too much, or crashed. What it would have replied is unknown."""


class InvalidInput(SandboxError):
    """The input cannot be read, or does not fit the model."""


class WrongShape(InvalidInput):
    """The input has another shape than the model's. `sentence` is the recorded one; the text also names the shapes."""

    sentence = "Input shape does not match model input shape."


class SandboxBusy(SandboxError):
    """Too many others ask. The same job may succeed later."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"{reason} Please try again later.")


class SandboxFailed(SandboxError):
    """Processes cannot be started. The log says why."""

    def __init__(
        self,
        text: str = "Models cannot be run on this server at the moment: its sandbox does not start. See its log.",
    ) -> None:
        super().__init__(text)


class DeviceFailed(SandboxFailed):
    """The device for models can't be used."""

    def __init__(self) -> None:
        super().__init__(
            "Models are to run on a device (FL_INFERENCE_DEVICE) that this server can't use at the moment. See its log."
        )
