"""Models and trainings in the database, for tests that run them."""

from __future__ import annotations

import io
from typing import Any

import torch

from fl_server_core.models import GlobalModel, LocalModel, Model, Training, User
from tests.ai.sandbox.sandboxes import saved


def vector(*values: float) -> bytes:
    buffer = io.BytesIO()
    torch.save(torch.tensor(values), buffer)
    return buffer.getvalue()


def new_model(
    owner: User, weights: torch.nn.Module | bytes | None, kind: type[GlobalModel] = GlobalModel, **fields: Any
) -> Any:
    if weights is not None:
        fields["weights"] = weights if isinstance(weights, bytes) else saved(weights)
    return kind.objects.create(owner=owner, name="model", description="", **fields)


def new_local(base: GlobalModel, weights: bytes) -> LocalModel:
    fields: dict[str, Any] = {"owner": base.owner, "base_model": base, "sample_size": 1, "weights": weights}
    return LocalModel.objects.create(**fields)


def train(model: Model, method: str, **uncertainty: Any) -> Training:
    return Training.objects.create(
        model=model,
        actor=model.owner,
        target_num_updates=1,
        uncertainty_method=method,
        options={"uncertainty": uncertainty} if uncertainty else {},
    )
