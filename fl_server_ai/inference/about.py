"""What else a model is run for: the statistics of its layers, and the file of a mean of models."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from fl_server_ai.inference.configured import get_sandbox
from fl_server_ai.inference.exceptions import ModelNotTrusted, ModelRunError, ModelStopped, SandboxBusy, SandboxFailed
from fl_server_ai.inference.sandbox import Job
from fl_server_ai.inference.sandbox.statistics import LAYER_ID, ROW, TOTALS
from fl_server_ai.inference.sources import model_sources, tenant_of
from fl_server_core.models.model import GlobalModel, MeanModel, Model
from fl_server_core.models.user import User
from fl_server_core.selectors.models import global_of
from fl_server_core.services.files import weights_of

logger = logging.getLogger(__name__)

_LONGEST_TEXT = 256
_FORMAT_BYTES = 16 << 20


def layer_statistics(model: Model) -> dict[str, Any] | None:
    """The statistics of a model's layers, computed once and kept with the global model; of a local model its base's.

    None for a mean, without an input_shape, and where the model cannot be run on an input of that shape. That too is
    kept (as an empty object), but not what may be otherwise the next time: the sandbox had no room, the model took too
    long, or the operator does not trust it.
    """
    base = global_of(model)
    if base.stats is not None:
        return base.stats or None
    if not base.input_shape or isinstance(base, MeanModel):
        return None
    try:
        stats = _computed(base)
    except (ModelNotTrusted, ModelStopped, SandboxBusy, SandboxFailed) as error:
        logger.warning("No statistics of %s: %s", base.pk, error)
        return None
    except ModelRunError:
        stats = {}
    # Only the column: whoever saved the row meanwhile keeps what was saved.
    GlobalModel.objects.filter(pk=base.pk).update(stats=stats)
    return stats or None


def mean_model_file(*, user: User, model: MeanModel) -> bytes:
    """A TorchScript archive whose forward is the mean of the members' outputs, in evaluation mode.

    Raises:
        ModelRunError: a member is not TorchScript, or cannot be loaded.
        SandboxBusy: too many others ask.
    """
    files = [weights_of(member) for member in model.models.all()]
    job = Job(
        "mean_module",
        models=model_sources(model),
        max_answer=_FORMAT_BYTES + 2 * sum(file.size for file in files if file),
    )
    answer = get_sandbox().run(job, tenant=tenant_of(model, user))
    if "file" not in answer.arrays:
        raise ModelRunError("The model's answer was refused. It has no file.")
    return answer.arrays["file"].tobytes()


def _computed(model: Model) -> dict[str, Any]:
    base = global_of(model)
    job = Job(
        "layer_statistics",
        models=[source.named("model") for source in model_sources(base)],
        options={"input_shape": base.input_shape},
    )
    answer = get_sandbox().run(job, tenant=tenant_of(base, base.owner))
    return _checked(answer.result.get("statistics"))


def _checked(found: Any) -> dict[str, Any]:
    """Keys that we know, values that a database takes: what answered may be a hostile model."""
    if not isinstance(found, Mapping) or not isinstance(found.get("summary_list"), list):
        raise ModelRunError("The model's answer was refused. It has no statistics.")
    rows = [row for row in found["summary_list"] if isinstance(row, Mapping)]
    return {
        "input_size": _plain(found.get("input_size")),
        **{key: _plain(found.get(key)) for key in TOTALS},
        "summary_list": [{key: _plain(row.get(key)) for key in (LAYER_ID, *ROW)} for row in rows],
    }


def _plain(value: Any, depth: int = 3) -> Any:
    match value:
        case str():
            return "".join(character for character in value if character.isprintable())[:_LONGEST_TEXT]
        case list() if depth:
            return [_plain(item, depth - 1) for item in value]
        case bool() | int() | None:
            return value
        case _:
            return None
