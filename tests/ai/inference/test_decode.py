"""What model_input may be, and what is said of what it may not be."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from fl_server_ai.inference.decode import decode_input
from fl_server_ai.sandbox import InvalidInput
from tests.builders.files import linear, saved


def torch_file(value: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def png() -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (4, 4)).save(buffer, "PNG")
    return buffer.getvalue()


def array_of(value: object) -> np.ndarray:
    decoded = decode_input(value).arrays
    assert list(decoded) == ["input"]
    return decoded["input"]


@pytest.mark.parametrize(
    ("value", "shape"),
    [([[1, 2], [3, 4]], (2, 2)), ([1.5], (1,)), (3, ()), ([], (0,)), ([[[True]]], (1, 1, 1)), ([[1, 2.5]], (1, 2))],
)
def test_nested_lists_and_numbers_become_float32(value: object, shape: tuple[int, ...]) -> None:
    array = array_of(value)
    assert array.dtype == np.float32
    assert array.shape == shape
    assert array.tolist() == value


def test_numbers_beyond_float32_are_infinite() -> None:
    assert array_of([1e300]).tolist() == [np.inf]


@pytest.mark.parametrize(
    "value",
    [[[1], [1, 2]], [[1], 2], ["1.5"], [None], [{"a": 1}], {"a": [1]}, None, [10**400], [["a"]]],
    ids=str,
)
def test_other_json_is_refused_with_a_sentence(value: object) -> None:
    with pytest.raises(InvalidInput, match="Invalid model_input"):
        decode_input(value)


def test_a_list_nested_beyond_reason_is_refused() -> None:
    value: list[Any] = []
    for _ in range(200):
        value = [value]
    with pytest.raises(InvalidInput):
        decode_input(value)


@pytest.mark.parametrize("text", ["[[1, 2.5]]", b"[[1, 2.5]]", " [[1, 2.5]]\n"])
def test_a_form_field_may_hold_the_list_as_json(text: str | bytes) -> None:
    assert array_of(text).tolist() == [[1.0, 2.5]]


@pytest.mark.parametrize("text", ["[1,", "[" * 100_000, b"[nope]"])
def test_a_list_that_is_not_json_is_refused(text: str | bytes) -> None:
    with pytest.raises(InvalidInput, match="not valid JSON"):
        decode_input(text)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.int64, torch.uint8, torch.bool])
def test_a_tensor_keeps_its_type(dtype: torch.dtype) -> None:
    tensor = torch.tensor([[0, 1, 2], [3, 4, 5]]).to(dtype)
    array = array_of(torch_file(tensor))
    assert torch.equal(torch.from_numpy(array.copy()), tensor)


def test_bfloat16_becomes_float32() -> None:
    array = array_of(torch_file(torch.tensor([1.5, -2.0], dtype=torch.bfloat16)))
    assert array.dtype == np.float32
    assert array.tolist() == [1.5, -2.0]


def test_a_view_of_a_tensor_is_read_in_its_own_order() -> None:
    assert array_of(torch_file(torch.arange(6).reshape(2, 3).T)).tolist() == [[0, 3], [1, 4], [2, 5]]


@pytest.mark.parametrize(
    "encode",
    [
        lambda content: base64.b64encode(content).decode(),
        base64.b64encode,
        base64.encodebytes,
        lambda content: base64.encodebytes(content).decode().replace("\n", "\r\n"),
    ],
)
def test_base64_of_a_tensor_and_of_an_image(encode: Any) -> None:
    assert array_of(encode(torch_file(torch.ones(2)))).tolist() == [1.0, 1.0]
    assert decode_input(encode(png())).arrays["image"].tobytes() == png()


def test_an_image_is_handed_on_undecoded() -> None:
    assert decode_input(png()).arrays["image"].tobytes() == png()


@pytest.mark.parametrize("text", ["no base64!", "AAA", base64.b64encode(png()).decode()[:40] + "\n" * 2 + "AAA", ""])
def test_text_that_is_not_strictly_base64_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="neither base64 nor a list"):
        decode_input(text)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (saved(linear()), "holds a module, not a tensor"),
        (torch_file({"a": torch.ones(1)}), "holds a state_dict, not a tensor"),
        (torch_file(torch.ones(2))[:-30], "Invalid model_input"),
        (torch_file(torch.ones(2, dtype=torch.complex64)), "Invalid model_input"),
        (b"PK\x03\x04 and nothing", "Invalid model_input"),
    ],
)
def test_files_that_hold_no_tensor_are_refused(content: bytes, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        decode_input(content)


def test_a_tensor_that_was_damaged_on_its_way_is_refused() -> None:
    content = torch_file(torch.full((64,), 1.0))
    damaged = content.replace(np.float32(1).tobytes() * 8, np.float32(2).tobytes() * 8, 1)
    assert damaged != content
    with pytest.raises(InvalidInput, match="checksum"):
        decode_input(damaged)


def test_json_of_a_request_goes_through_unchanged() -> None:
    assert array_of(json.loads("[[0.1, 0.2]]")).tolist() == [[np.float32(0.1), np.float32(0.2)]]


def test_integers_beyond_64_bits_are_numbers_too() -> None:
    [array] = decode_input([[10**30, 1.5]]).arrays.values()
    assert array.tolist() == [[np.float32(1e30), 1.5]]


def test_an_integer_that_no_float_holds_is_refused_for_that() -> None:
    with pytest.raises(InvalidInput, match="too large"):
        decode_input([10**400])
