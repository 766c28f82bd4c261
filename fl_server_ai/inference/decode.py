"""What model_input can be: a nested list, a torch-saved tensor, an image, or either of the last two in base64.

A tensor's file is read as data. An image is only recognised as something else and handed on: its decoder is C code that
reads hostile bytes, which is the sandbox's work.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fl_server_ai.sandbox import InvalidInput
from fl_server_ai.sandbox.channel import Array
from fl_server_core.archive import ArchiveError, ArchiveKind, open_archive

_ZIP = b"PK\x03\x04"
_NATIVE_KINDS = "biuf"


@dataclass(frozen=True)
class ModelInput:
    """Either an array of plain numbers, or the bytes of what may be an image."""

    arrays: Mapping[str, Array]

    @classmethod
    def of_array(cls, array: Array) -> ModelInput:
        return cls({"input": array})

    @classmethod
    def of_image(cls, content: bytes) -> ModelInput:
        return cls({"image": np.frombuffer(content, dtype=np.uint8)})


def decode_input(value: object) -> ModelInput:
    """The input in a request: parsed JSON (lists, a number, base64 text) or the bytes of a file or form field.

    Raises:
        InvalidInput: it is something else, or a list whose rows differ in length.
    """
    if isinstance(value, str):
        return _decode_text(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return _decode_bytes(bytes(value))
    return ModelInput.of_array(_numbers(value))


def _decode_text(text: str) -> ModelInput:
    content = _from_base64(text.strip().encode())
    if content is None:
        if text.lstrip().startswith("["):
            return ModelInput.of_array(_parse_list(text))
        raise InvalidInput("Invalid model_input: the text is neither base64 nor a list of numbers.")
    return _decode_binary(content)


def _decode_bytes(content: bytes) -> ModelInput:
    if not content:
        raise InvalidInput("Invalid model_input: it is empty.")
    if content.startswith(_ZIP):
        return _decode_binary(content)
    if content.lstrip()[:1] == b"[":
        return ModelInput.of_array(_parse_list(content))
    decoded = _from_base64(content.strip())
    return _decode_binary(content if decoded is None else decoded)


def _decode_binary(content: bytes) -> ModelInput:
    return ModelInput.of_array(_tensor(content)) if content.startswith(_ZIP) else ModelInput.of_image(content)


def _from_base64(content: bytes) -> bytes | None:
    """Strictly: no other alphabet, padded; it may be broken into lines. None for anything else."""
    try:
        return base64.b64decode(content.translate(None, b"\r\n"), validate=True) or None
    except binascii.Error:
        return None


def _parse_list(text: str | bytes) -> Array:
    try:
        return _numbers(json.loads(text))
    except (ValueError, RecursionError) as error:
        raise InvalidInput("Invalid model_input: the list is not valid JSON.") from error


def _numbers(value: object) -> Array:
    """float32, whatever numbers they were; beyond its range they are infinite."""
    try:
        array = np.asarray(value)
    except (ValueError, OverflowError, RecursionError) as error:
        raise InvalidInput(
            "Invalid model_input: the list's rows differ in length, or it is nested too deeply."
        ) from error
    if array.dtype == object and all(type(number) in (int, float) for number in array.flat):
        array = _float_array(array)  # integers beyond 64 bits
    if array.dtype.kind not in _NATIVE_KINDS:
        raise InvalidInput("Invalid model_input: a list holds numbers and lists of numbers only.")
    with np.errstate(over="ignore"):
        return array.astype(np.float32)


def _float_array(array: Array) -> Array:
    try:
        return array.astype(np.float64)
    except OverflowError as error:
        raise InvalidInput("Invalid model_input: a number is too large for a floating-point number.") from error


def _tensor(content: bytes) -> Array:
    try:
        with open_archive(content) as archive:
            if archive.kind is not ArchiveKind.TENSOR:
                raise InvalidInput(f"Invalid model_input: the file holds a {archive.kind}, not a tensor.")
            archive.verify_checksums()
            array = archive.array("")
    except ArchiveError as error:
        raise InvalidInput(f"Invalid model_input: {error}") from error
    return _native(array)


def _native(array: Array) -> Array:
    """Numbers that numpy has itself; bfloat16 and its like become float32."""
    if array.dtype.kind in _NATIVE_KINDS and array.dtype.name in np.sctypeDict:
        return array
    if array.dtype.kind == "c":
        raise InvalidInput("Invalid model_input: complex numbers are not supported.")
    converted: np.ndarray[Any, np.dtype[np.float32]] = array.astype(np.float32)
    return converted
