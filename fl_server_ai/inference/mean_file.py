"""The file of a mean of models, made when it is asked for."""

from __future__ import annotations

from fl_server_ai.inference.names import MEAN_MODULE
from fl_server_ai.inference.server_sandbox import run_models
from fl_server_ai.inference.sources import model_sources, tenant_of
from fl_server_ai.sandbox import Job, ModelRunError
from fl_server_core.archive import ArchiveError, ArchiveKind, dangerous_globals, open_archive
from fl_server_core.long_requests import inference_of
from fl_server_core.models.model import MeanModel
from fl_server_core.models.user import User

_FORMAT_BYTES = 16 << 20


def mean_model_file(*, user: User, model: MeanModel) -> bytes:
    """A TorchScript archive whose forward is the mean of the members' outputs, in evaluation mode.

    Raises:
        ModelRunError: a member is not TorchScript, or cannot be loaded.
        AccountBusy, ServerBusy, SandboxBusy: the user, or all together, ask too much at once.
    """
    files = [member.weights_file for member in model.models.select_related("current_version")]
    job = Job(
        MEAN_MODULE,
        models=model_sources(model),
        max_reply=_FORMAT_BYTES + 2 * sum(file.size for file in files if file),
    )
    with inference_of(user):
        reply = run_models(job, tenant=tenant_of(model, user))
    if "file" not in reply.arrays:
        raise ModelRunError("The model's answer was refused. It has no file.")
    content = reply.arrays["file"].tobytes()
    _check(content)
    return content


def _check(content: bytes) -> None:
    """Members' code has run in the process that made the file: is it nothing but what was asked for?"""
    try:
        with open_archive(content) as archive:
            is_script = archive.kind is ArchiveKind.SCRIPT and not dangerous_globals(archive)
    except ArchiveError as error:
        raise ModelRunError(f"The model's answer was refused: {error}") from error
    if not is_script:
        raise ModelRunError("The model's answer was refused. Its file is not a TorchScript module.")
