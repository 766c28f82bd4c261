"""Rows and files for tests: real users, real archives, no fixture files."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterable
from functools import cache
from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile
from rest_framework.test import APIClient

from fl_server_core.models import GlobalModel, LocalModel, MeanModel, SWAGModel, Training, User

_numbers = itertools.count(1)


def make_user(username: str | None = None, **fields: Any) -> User:
    """A user without a usable password, which costs no hashing; give `password` for one with."""
    return User.objects.create_user(username or f"user-{next(_numbers)}", **fields)


def client_of(user: User | None = None) -> APIClient:
    """A client that sends the user's token, or nothing, and that gets a 500 where a browser would."""
    client = APIClient(raise_request_exception=False)
    if user is not None:
        client.credentials(HTTP_AUTHORIZATION=f"Token {token_of(user)}")
    return client


def token_of(user: User) -> str:
    return str(user.auth_token.key)


@cache
def scripted_linear(value: float = 1.0) -> bytes:
    """A TorchScript archive, three in, two out; each weight and bias is `value`."""
    import torch

    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(_linear(value)), buffer)
    return buffer.getvalue()


@cache
def pickled_linear(value: float = 1.0) -> bytes:
    """The same, as a pickled module."""
    return saved(_linear(value))


@cache
def scripted_clamp() -> bytes:
    """A TorchScript archive that can be a preprocessing: it limits its input to 0..1."""
    import torch

    buffer = io.BytesIO()
    module = torch.jit.script(torch.nn.Sequential(torch.nn.Hardtanh(0.0, 1.0)))
    torch.jit.save(module, buffer)
    return buffer.getvalue()


def saved(value: object) -> bytes:
    """What `torch.save` writes."""
    import torch

    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def saved_vector(*numbers: float) -> bytes:
    """A torch-saved vector."""
    import torch

    return saved(torch.tensor(numbers, dtype=torch.float32))


def _linear(value: float) -> Any:
    import torch

    module = torch.nn.Sequential(torch.nn.Linear(3, 2))
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.fill_(value)
    return module


def uploaded(content: bytes, name: str = "model.pt") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content)


def make_model(owner: User, kind: type[GlobalModel] = GlobalModel, **fields: Any) -> GlobalModel:
    """A global model with a file."""
    values: dict[str, Any] = {"name": "linear", "description": "three in, two out", "weights": scripted_linear()}
    return kind.objects.create(owner=owner, **{**values, **fields})


def make_swag_model(owner: User, **fields: Any) -> GlobalModel:
    return make_model(owner, SWAGModel, **fields)


def make_mean_model(owner: User, members: Iterable[GlobalModel], **fields: Any) -> MeanModel:
    model = MeanModel.objects.create(owner=owner, **{"name": "mean", "description": "of others", **fields})
    model.models.set(members)
    return model


def make_update(base: GlobalModel, owner: User, **fields: Any) -> LocalModel:
    """One participant's update of a global model, in the round where that is."""
    values = {"round": base.round, "sample_size": 1, "weights": scripted_linear(2.0)}
    return LocalModel.objects.create(base_model=base, owner=owner, **{**values, **fields})


def make_training(
    actor: User, participants: Iterable[User] = (), model: GlobalModel | None = None, **fields: Any
) -> Training:
    """A training that has not been started."""
    training = Training.objects.create(
        actor=actor, model=model or make_model(actor), **{"target_num_updates": 2, **fields}
    )
    training.participants.set(participants)
    return training


def body_of(answer: Any) -> bytes:
    """The whole of a streamed answer; read to the end, the test client closes it."""
    return b"".join(answer.streaming_content)
