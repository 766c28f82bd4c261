from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from fl_server_core.utils.torch_serialization import (
    from_torch_module,
    from_torch_module_or_tensor,
    from_torch_tensor,
    is_torchscript_instance,
    to_torch_module,
    to_torch_module_or_tensor,
    to_torch_tensor,
)
from tests.builders.files import flat, linear, script


@pytest.mark.parametrize("is_scripted", [False, True], ids=["pickled", "scripted"])
@pytest.mark.parametrize(
    ("write", "read"),
    [(from_torch_module, to_torch_module), (from_torch_module_or_tensor, to_torch_module_or_tensor)],
)
def test_a_module_comes_back_as_it_was(
    write: Callable[[Any], bytes], read: Callable[[bytes], Any], is_scripted: bool
) -> None:
    module = script(linear(3.0)) if is_scripted else linear(3.0)
    found = read(write(module))
    assert is_torchscript_instance(found) is is_scripted
    assert flat(found).tolist() == [3.0] * 8


@pytest.mark.parametrize(
    ("write", "read"),
    [(from_torch_tensor, to_torch_tensor), (from_torch_module_or_tensor, to_torch_module_or_tensor)],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64])
def test_a_tensor_comes_back_as_it_was(
    write: Callable[[Any], bytes], read: Callable[[bytes], Any], dtype: torch.dtype
) -> None:
    found = read(write(torch.tensor([[1, 2]], dtype=dtype)))
    assert (found.dtype, found.tolist()) == (dtype, [[1, 2]])


def test_what_is_scripted_is_told_from_what_is_not() -> None:
    assert is_torchscript_instance(script(linear()))
    assert not is_torchscript_instance(linear())
    assert not is_torchscript_instance(torch.ones(1))


@pytest.mark.parametrize("read", [to_torch_module, to_torch_tensor, to_torch_module_or_tensor])
@pytest.mark.parametrize(
    "content",
    [b"", b"text", b"PK\x03\x04", b"\x80\x02G\x00", b"\x80\x02h\x07.", from_torch_tensor(torch.ones(3))[:-30]],
    ids=["empty", "text", "zip", "number", "memory", "cut"],
)
def test_what_cannot_be_loaded_is_refused(read: Callable[[bytes], Any], content: bytes) -> None:
    with pytest.raises(ValueError, match="cannot be loaded"):
        read(content)


def test_what_is_something_else_is_refused() -> None:
    with pytest.raises(ValueError, match=r"holds a Tensor, not a torch\.nn\.Module"):
        to_torch_module(from_torch_tensor(torch.ones(1)))
    words = from_torch_tensor({"a": 1})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="holds a dict, not a tensor"):
        to_torch_tensor(words)
    with pytest.raises(ValueError, match="holds a dict, neither"):
        to_torch_module_or_tensor(words)


class Foreign(torch.nn.Linear):
    """Of a class that torch never holds to be safe; `fl_server_client.model_files` adds those of torch.nn."""


def test_no_module_is_run_where_a_tensor_is_read() -> None:
    with pytest.raises(ValueError, match="cannot be loaded"):
        to_torch_tensor(from_torch_module(Foreign(2, 1)))
