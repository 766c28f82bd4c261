"""The statistics of a model's layers."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from fl_server_ai.inference.names import LAYER_ID, LAYER_STATISTICS, ROW, TOTALS
from fl_server_ai.inference.server_sandbox import run_models
from fl_server_ai.inference.sources import model_sources, tenant_of
from fl_server_ai.sandbox import (
    InvalidInput,
    Job,
    ModelNotTrusted,
    ModelRunError,
    ModelStopped,
    SandboxBusy,
    SandboxFailed,
)
from fl_server_core.exceptions import AccountBusy, ServerBusy
from fl_server_core.long_requests import inference_of
from fl_server_core.models.model import GlobalModel, MeanModel, Model
from fl_server_core.models.user import User
from fl_server_core.selectors.models import global_of

logger = logging.getLogger(__name__)

_LONGEST_TEXT = 256


def layer_statistics(model: Model, user: User | None = None) -> dict[str, Any] | None:
    """The statistics of a model's layers, computed once and kept. A local model has those of its global model.

    None for a mean, without an input_shape, and where the model cannot be run on an input of that shape. That is kept
    too, as an empty object. A failure that may pass is not kept: the sandbox had no room, the model took too long, or
    the operator does not trust it.

    user: who asks, so whose inference it counts as; by default the owner.
    """
    base = global_of(model)
    if base.stats is not None:
        return base.stats or None
    if not base.input_shape or isinstance(base, MeanModel):
        return None
    try:
        with inference_of(user or base.owner):
            stats = _computed(base)
    except (AccountBusy, ServerBusy, SandboxBusy) as error:
        logger.debug("No statistics of %s: %s", base.pk, error)  # not the server's failure: clients can make any number
        return None
    except (ModelNotTrusted, ModelStopped, SandboxFailed) as error:
        logger.warning("No statistics of %s: %s", base.pk, error)
        return None
    except (ModelRunError, InvalidInput):
        stats = {}
    # Only this column: another request may have saved the row meanwhile.
    GlobalModel.objects.filter(pk=base.pk).update(stats=stats)
    return stats or None


def _computed(model: Model) -> dict[str, Any]:
    base = global_of(model)
    job = Job(
        LAYER_STATISTICS,
        models=[source.named("model") for source in model_sources(base)],
        options={"input_shape": base.input_shape},
    )
    reply = run_models(job, tenant=tenant_of(base, base.owner))
    return _checked(reply.result.get("statistics"))


def _checked(found: Any) -> dict[str, Any]:
    """Only known keys, and values that a database takes: the reply may come from a hostile model."""
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
