"""The files of models, as the sandbox takes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from django.conf import settings

from fl_server_ai.inference.names import PREPROCESSING
from fl_server_ai.sandbox import ModelRunError, ModelSource, check_runnable
from fl_server_ai.sandbox.channel import Array
from fl_server_core.archive import ArchiveError, ArchiveKind, copy_tensors, open_archive
from fl_server_core.models.model import MOMENTS, GlobalModel, LocalModel, MeanModel, Model, SWAGModel
from fl_server_core.models.model_version import ModelVersion
from fl_server_core.models.user import User
from fl_server_core.selectors.models import global_of
from fl_server_core.selectors.versions import find_version
from fl_server_core.services.files import local_path, open_weights, scratch_path
from fl_server_core.trail import note

if TYPE_CHECKING:
    from django.db.models.fields.files import FieldFile


def model_sources(model: Model, number: int | None = None) -> list[ModelSource]:
    """The module of a model, or of one of its versions; of a mean model, one of each member.

    A local model runs as its global model's module with its own weights: an update may be a bare state_dict.

    Raises:
        ModelRunError: the model, or a member, has no file.
        InvalidRequest, Gone: no such version, or its file is no longer kept.
    """
    if number is not None:
        version = find_version(model, number)
        return [_source("0", version.weights_file if version else None)]
    if isinstance(model, MeanModel):
        return [_source(str(place), member.weights_file) for place, member in enumerate(_members(model))]
    if isinstance(model, LocalModel):
        base, weights = model.base_model.weights_file, model.weights_file
        if not base:
            raise ModelRunError("The model has no weights.")
        return [ModelSource("0", f"{base.name}+{weights.name}", lambda: _module_with_weights(base, weights))]
    module = global_of(model)
    source = _source("0", module.weights_file)
    note(version=module.current_version.number if module.current_version else None)
    return [source]


def preprocessing_sources(model: GlobalModel) -> list[ModelSource]:
    """The preprocessing of a global model, if it has one. A mean model without one has those of its members."""
    if model.has_preprocessing:
        return [_source(PREPROCESSING, model.preprocessing_file)]
    members = _members(model) if isinstance(model, MeanModel) else []
    return [
        _source(f"{PREPROCESSING}{number}", member.preprocessing_file)
        for number, member in enumerate(members)
        if member.has_preprocessing
    ]


def moments(model: Model, number: int | None = None) -> dict[str, Array]:
    """The SWAG moments by name, as far as there are any: none before the first SWAG round.

    Those of the newest version that has some, up to the one asked for. Of a local model: its own weights, with the
    spread of its global model's.
    """
    base = global_of(model)
    if not isinstance(base, SWAGModel):
        return {}
    version = _version_with_moments(base, number)
    found = {row.name: _vector(row.file) for row in version.files.filter(name__in=MOMENTS)} if version else {}
    return _around_weights(model, **found) if isinstance(model, LocalModel) and len(found) == len(MOMENTS) else found


def number_with_moments(model: Model, number: int | None) -> int | None:
    """The version whose module goes with the moments: the newest that has some, up to the one asked for.

    Raises:
        InvalidRequest, Gone: no such version, or its file is no longer kept.
    """
    if not isinstance(model, SWAGModel):
        return number
    find_version(model, number)
    version = _version_with_moments(model, number)
    return version.number if version is not None and version.is_available else number


def _version_with_moments(model: SWAGModel, number: int | None) -> ModelVersion | None:
    versions = model.versions.filter(files__name__in=MOMENTS)
    if number is not None:
        versions = versions.filter(number__lte=number)
    return versions.order_by("-number").first()


def tenant_of(model: GlobalModel, user: User) -> str:
    """Whose process a request runs in: one that has seen only models of this owner and input of this user."""
    return f"{model.owner_id}/{user.pk}"


def _members(model: MeanModel) -> list[GlobalModel]:
    """In the order of their numbers. Raises ModelRunError where there are none."""
    members = list(model.models.order_by("created_at", "id"))
    if not members:
        raise ModelRunError("The mean model has no members.")
    return members


def _source(name: str, file: FieldFile | None) -> ModelSource:
    if not file:
        raise ModelRunError("The model has no weights.")
    return ModelSource(name, str(file.name), _reader(file))


def _reader(file: FieldFile) -> Callable[[], bytes]:
    def read() -> bytes:
        with local_path(file) as path:
            check_runnable(path, settings.FL_TRUSTED_GLOBALS)  # before it is in memory
            return path.read_bytes()

    return read


def _module_with_weights(base: FieldFile, weights: FieldFile) -> bytes:
    try:
        with (
            local_path(base) as template_path,
            local_path(weights) as weights_path,
            scratch_path() as target,
            open_archive(template_path) as template,
            open_archive(weights_path) as source,
        ):
            copy_tensors(template, source, target)
            content = target.read_bytes()
    except ArchiveError as error:
        raise ModelRunError(f"The update does not fit its model: {error}") from error
    check_runnable(content, settings.FL_TRUSTED_GLOBALS)
    return content


def _vector(file: FieldFile) -> Array:
    with file.storage.open(str(file.name), "rb") as handle, open_archive(handle.read()) as archive:
        if archive.kind is not ArchiveKind.TENSOR:
            raise ModelRunError("The model's SWAG moments are not vectors.")
        return archive.array("")


def _around_weights(model: LocalModel, first_moment: Array, second_moment: Array) -> dict[str, Array]:
    with (
        local_path(model.weights_file) as path,
        open_weights(model.base_model) as base,
        open_archive(path) as update,
    ):
        own = np.concatenate([update.array(name).astype(np.float64).ravel() for name in base.parameter_names])
    spread = second_moment.astype(np.float64) - np.square(first_moment.astype(np.float64))
    if own.shape != spread.shape:
        raise ModelRunError("The model's SWAG moments are not those of its parameters.")
    return {"first_moment": own, "second_moment": np.square(own) + np.maximum(spread, 0)}
