"""A module whose output is the mean of others'."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from fl_server_ai.sandbox.tasks import Arrays, Options, Result

if TYPE_CHECKING:
    import torch


def mean_module(models: Mapping[str, torch.nn.Module], _arrays: Arrays, _options: Options) -> Result:
    """models: the members. Replies with the array `file`, the bytes of a TorchScript archive."""
    return {}, {"file": np.frombuffer(mean_module_file(list(models.values())), dtype=np.uint8)}


def mean_module_file(members: Sequence[torch.nn.Module]) -> bytes:
    """A TorchScript archive whose forward is the mean of the members' outputs; the members are in evaluation mode.

    Raises:
        ValueError: a member is not TorchScript: a file with it could not be read without its class.
    """
    import torch

    if not all(isinstance(member, torch.jit.ScriptModule) for member in members):
        raise ValueError("A mean model can be downloaded only if all members are TorchScript.")
    members_only = torch.nn.Module()
    for number, member in enumerate(members):
        setattr(members_only, f"member{number}", member)
    mean = torch.jit.script(members_only)
    outputs = ", ".join(f"self.member{number}(input.clone())" for number in range(len(members)))
    # From text, since the sandbox cannot open the file of a class to read its source. Members of the same types as
    # before, and the mean has its forward already: types are shared.
    if "forward" not in mean._c._method_names():
        mean.define(f"def forward(self, input):\n    return torch.stack([{outputs}]).mean(dim=0)\n")
    buffer = io.BytesIO()
    torch.jit.save(mean.eval(), buffer)
    return buffer.getvalue()
