"""Archives made by torch, and ways to tamper with them."""

import io
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable

import torch
from torch import nn


def load_script(content: bytes) -> torch.jit.ScriptModule:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module: torch.jit.ScriptModule = torch.jit.load(io.BytesIO(content))  # type: ignore[no-untyped-call]
        return module


def load_module(content: bytes) -> nn.Module:
    with warnings.catch_warnings():  # of deprecated layers
        warnings.simplefilter("ignore")
        module = torch.load(io.BytesIO(content), weights_only=False)
    assert isinstance(module, nn.Module)
    return module


def randomise(state: dict[str, torch.Tensor], seed: int) -> None:
    """Overwrite all tensors with random values of their types."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in state.values():
            values = torch.randn(tensor.shape, generator=generator) * 10
            tensor.copy_(
                values > 0 if tensor.dtype == torch.bool else values.round() if not _has_fractions(tensor) else values
            )


def _has_fractions(tensor: torch.Tensor) -> bool:
    return tensor.is_floating_point() or tensor.is_complex()


def bits(tensor: torch.Tensor) -> bytes:
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def read_record(content: bytes, name: str) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return archive.read(f"archive/{name}")


def records_of(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


def packed(records: dict[str, bytes], deflated: tuple[str, ...] = ()) -> bytes:
    """A zip archive of these records in this order, with right checksums."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in records.items():
            method = zipfile.ZIP_DEFLATED if name in deflated else zipfile.ZIP_STORED
            archive.writestr(zipfile.ZipInfo(name), content, compress_type=method)
    return buffer.getvalue()


def with_record(content: bytes, name: str, edit: Callable[[bytes], bytes]) -> bytes:
    """The archive with one of its records edited, and its checksum made to fit."""
    records = records_of(content)
    records[f"archive/{name}"] = edit(records[f"archive/{name}"])
    return packed(records, deflated=tuple(name for name in records if "/code/" in name))


def with_pickle(pickle: bytes, **records: bytes) -> bytes:
    """An archive of this data.pkl, and of the records data/0, data/1 … given as _0, _1 …"""
    named = {f"archive/data/{key[1:]}": content for key, content in records.items()}
    return packed({"archive/data.pkl": pickle, "archive/byteorder": b"little", **named, "archive/version": b"3\n"})


def patched(content: bytes, at: int, layout: str, *values: int) -> bytes:
    changed = bytearray(content)
    struct.pack_into(layout, changed, at, *values)
    return bytes(changed)


def directory_entry(content: bytes, name: str) -> int:
    """Where the zip directory's entry of a record begins."""
    at = content.index(b"PK\x01\x02")
    while content[at : at + 4] == b"PK\x01\x02":
        name_length, extra_length = struct.unpack_from("<HH", content, at + 28)
        if content[at + 46 : at + 46 + name_length].decode() == f"archive/{name}":
            return at
        at += 46 + name_length + extra_length
    raise KeyError(name)


def local_header(content: bytes, name: str) -> int:
    at: int = struct.unpack_from("<I", content, directory_entry(content, name) + 42)[0]
    return at


def crc(content: bytes) -> int:
    return zlib.crc32(content)
