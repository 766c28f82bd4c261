"""What is inside a model's file, and how far two files lie apart: read as data, nothing is run."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, TypeVar

from django.conf import settings
from django.core.cache import cache
from django.db.models.fields.files import FieldFile

from fl_server_ai.sandbox.policy import has_torchvision
from fl_server_core.archive import (
    Archive,
    ArchiveDifference,
    TensorDifference,
    archive_difference,
    foreign_globals,
)
from fl_server_core.long_requests import inference_of
from fl_server_core.models import User
from fl_server_core.services.files import open_stored

KEPT_SECONDS = 24 * 3600
MAX_TENSORS = 1000
MAX_NAMES = 100
Found = TypeVar("Found")


@dataclass(frozen=True)
class TensorRow:
    """role: parameter, buffer, or a dash where the file does not tell."""

    name: str
    shape: str
    dtype: str
    size: int
    role: str


@dataclass(frozen=True)
class Layer:
    """The tensors of one module. size: elements of all of them."""

    name: str
    size: int
    tensors: list[TensorRow]


@dataclass(frozen=True)
class Contents:
    """layers: at most MAX_TENSORS tensors together, of `tensors`. elements: of all tensors, tied ones once.

    foreign: the names that the server does not import unless FL_TRUSTED_GLOBALS has them; at most MAX_NAMES of each.
    """

    kind: str
    nbytes: int
    parameters: int
    elements: int
    tensors: int
    layers: list[Layer]
    globals: list[str]
    foreign: list[str]

    @property
    def is_cut(self) -> bool:
        return self.tensors > MAX_TENSORS


def contents_of(file: FieldFile, user: User) -> Contents:
    """Raises what `open_stored` and `inference_of` raise: a file that is far away has to be fetched first."""
    trusted = ",".join(sorted(settings.FL_TRUSTED_GLOBALS))
    return _kept(("contents", file.name, trusted), user, lambda: _read(file))


def difference_of(first: FieldFile, second: FieldFile, user: User) -> ArchiveDifference:
    """The same two files always differ by the same. Raises what `contents_of` raises."""

    def compare() -> ArchiveDifference:
        with open_stored(first) as one, open_stored(second, like=one) as other:
            return archive_difference(one, other)

    return _kept(("difference", first.name, second.name), user, compare)


def _kept(key: Sequence[object], user: User, make: Callable[[], Found]) -> Found:
    """Files never change under their names, so that what was found in them is found once."""
    name = ":".join(map(str, key))
    found: Found | None = cache.get(name)
    if found is None:
        with inference_of(user):
            found = make()
        cache.set(name, found, KEPT_SECONDS)
    return found


def _read(file: FieldFile) -> Contents:
    with open_stored(file) as archive:
        foreign = foreign_globals(archive, settings.FL_TRUSTED_GLOBALS, torchvision=has_torchvision())
        views = {info.view: info.size for info in archive.tensors.values()}
        return Contents(
            kind=str(archive.kind).replace("_", " "),
            nbytes=archive.nbytes,
            parameters=archive.parameter_count,
            elements=sum(views.values()),
            tensors=len(archive.tensors),
            layers=_layers(archive),
            globals=sorted(archive.globals)[:MAX_NAMES],
            foreign=foreign[:MAX_NAMES],
        )


def _layers(archive: Archive) -> list[Layer]:
    """Tensors by what stands before the last dot of their names."""
    parameters = frozenset(archive.parameter_names)
    infos = list(archive.tensors.values())[:MAX_TENSORS]
    rows = [
        TensorRow(
            name=info.name,
            shape=" × ".join(map(str, info.shape)) or "a single number",
            dtype=info.dtype,
            size=info.size,
            role=("parameter" if info.name in parameters else "buffer") if parameters else "–",
        )
        for info in infos
    ]
    grouped = [(name, list(found)) for name, found in groupby(rows, lambda row: row.name.rpartition(".")[0])]
    return [Layer(name, sum(row.size for row in found), found) for name, found in grouped]


@dataclass(frozen=True)
class Moved:
    """A tensor's way from one version to another. percent: of its norm before. part: of 100, beside the farthest."""

    tensor: TensorDifference
    percent: float | None
    part: float


@dataclass(frozen=True)
class Movement:
    """The way of all tensors together. farthest: the tensor that moved most."""

    rows: list[Moved]
    norm: float
    difference: float
    percent: float | None
    farthest: TensorDifference | None
    total: int


def movement(found: ArchiveDifference) -> Movement:
    """A difference as it is shown: at most MAX_TENSORS rows."""
    norm = math.hypot(*(one.norm for one in found.tensors))
    difference = math.hypot(*(one.difference for one in found.tensors))
    farthest: Any = max(found.tensors, key=lambda one: _finite(one.difference), default=None)
    most = _finite(farthest.difference) if farthest else 0.0
    rows = [
        Moved(one, _percent(one.difference, one.norm), 100 * _finite(one.difference) / most if most else 0.0)
        for one in found.tensors[:MAX_TENSORS]
    ]
    moved = farthest if most else None
    return Movement(rows, norm, difference, _percent(difference, norm), moved, len(found.tensors))


def _finite(value: float) -> float:
    return value if math.isfinite(value) else 0.0


def _percent(part: float, whole: float) -> float | None:
    return 100 * part / whole if whole and math.isfinite(part) and math.isfinite(whole) else None
