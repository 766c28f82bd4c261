"""Pairs of files of the same names and shapes, whose tensors share memory in all kinds of ways. Without torch.

An observer works out what `check_compatible` should say, by writing every tensor into the reference's memory.
"""

import io
import json
import random
import struct
import zipfile
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
_VALUES = np.array([0.0, 0.0, 0.0, 1.0, -0.0, np.inf, np.nan], np.float32)


@dataclass
class Views:
    """float32 storages, and named views on them: (storage, offset, shape, strides), counted in elements."""

    storages: list[Array]
    places: dict[str, tuple[int, int, tuple[int, ...], tuple[int, ...]]] = field(default_factory=dict)

    def array(self, name: str) -> Array:
        storage, offset, shape, strides = self.places[name]
        view: Array = np.lib.stride_tricks.as_strided(
            self.storages[storage][offset:], shape, [stride * 4 for stride in strides]
        )
        return view


def make_pair(chance: random.Random, *, is_large: bool = False) -> tuple[Views, Views]:
    """A reference and a candidate. Half of the time the candidate has values that fit."""
    names = [f"n{number}" for number in range(chance.choice((500, 2000)) if is_large else chance.randrange(1, 9))]
    shapes = [_shape(chance, is_large=is_large) for _ in range(1 if is_large else chance.choice((1, 1, 2)))]
    shape_of = {name: chance.choice(shapes) for name in names}
    reference, candidate = (_views(shape_of, chance, is_large=is_large) for _ in range(2))
    if chance.random() < 0.5 and not is_large:  # apart, with the reference's own values, or all but one
        candidate = Views([reference.array(name).reshape(-1).copy() for name in names])
        for number, name in enumerate(names):
            candidate.places[name] = (number, 0, shape_of[name], _contiguous(shape_of[name]))
        if chance.random() < 0.5:
            filled = [one for one in candidate.storages if one.size]
            storage = chance.choice(filled or [np.zeros(1, np.float32)])
            storage[chance.randrange(storage.size)] = chance.choice(_VALUES)
    return reference, candidate


def fits(reference: Views, candidate: Views) -> bool:
    """Would every tensor of the candidate read the same, once all are written into the reference's memory?"""
    memory = Views([storage.copy() for storage in reference.storages], reference.places)
    for name in reference.places:
        memory.array(name)[...] = candidate.array(name)
    return all(memory.array(name).tobytes() == candidate.array(name).tobytes() for name in reference.places)


def as_archive(views: Views) -> bytes:
    """What torch.save would write for a state_dict of these tensors."""
    pickle = [b"\x80\x02}"]
    for name, (storage, offset, shape, strides) in views.places.items():
        length = _number(views.storages[storage].size)
        place = (
            b"(" + _text("storage") + b"ctorch\nFloatStorage\n" + _text(str(storage)) + _text("cpu") + length + b"tQ"
        )
        extents = b"".join(b"(" + b"".join(_number(one) for one in numbers) + b"t" for numbers in (shape, strides))
        tensor = b"(" + place + _number(offset) + extents + b"\x89ccollections\nOrderedDict\n)RtR"
        pickle.append(_text(name) + b"ctorch._utils\n_rebuild_tensor_v2\n" + tensor + b"s")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a/data.pkl", b"".join([*pickle, b"."]))
        for number, content in enumerate(views.storages):
            archive.writestr(f"a/data/{number}", content.tobytes())
        archive.writestr("a/version", b"3\n")
    return buffer.getvalue()


def as_safetensors(views: Views) -> bytes:
    table, data = {}, b""
    for name in views.places:
        array = views.array(name)
        table[name] = {"dtype": "F32", "shape": array.shape, "data_offsets": (len(data), len(data) + array.nbytes)}
        data += array.tobytes()
    text = json.dumps(table).encode()
    return struct.pack("<Q", len(text)) + text + data


def _shape(chance: random.Random, *, is_large: bool) -> tuple[int, ...]:
    if is_large:
        return chance.choice(((1 << 18,), (512, 512)))
    return tuple(chance.choice((0, 1, 1, 2, 3, 3, 4)) for _ in range(chance.randrange(4)))


def _views(shapes: dict[str, tuple[int, ...]], chance: random.Random, *, is_large: bool) -> Views:
    size = (1 << 18) + 3 if is_large else 4**3 + 8
    kind = _VALUES[: chance.choice((1, 1, 3, 4, 7))]
    rows = [np.full(size, chance.choice(kind), np.float32) for _ in range(chance.choice((1, 2, 3)))]
    if not is_large and chance.random() < 0.5:
        rows = [np.array(chance.choices(kind, k=size), np.float32) for _ in rows]
    views = Views(rows)
    known: list[tuple[int, int, tuple[int, ...], tuple[int, ...]]] = []
    for name, shape in shapes.items():
        same = [place for place in known if place[2] == shape]
        if same and chance.random() < (0.999 if is_large else 0.5):
            views.places[name] = chance.choice(same)
            continue
        strides = list(_contiguous(shape))
        if chance.random() < 0.4:
            chance.shuffle(strides)
        if not is_large and chance.random() < 0.1:
            strides = [chance.choice((0, stride)) for stride in strides]
        known.append((chance.randrange(len(rows)), chance.randrange(4), shape, tuple(strides)))
        views.places[name] = known[-1]
        reach = sum((length - 1) * stride for length, stride in zip(shape, strides, strict=True))
        if all(shape) and known[-1][1] + reach >= size:  # a shuffled view may reach too far
            views.places[name] = known[-1] = (known[-1][0], 0, shape, _contiguous(shape))
    return views


def _contiguous(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(np.prod(shape[place + 1 :], dtype=np.int64)) for place in range(len(shape)))


def _text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def _number(value: int) -> bytes:
    return b"\x8a\x08" + struct.pack("<q", value)
