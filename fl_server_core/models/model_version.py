from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import models
from django.db.models import Max

from fl_server_core.models.files import new_file_name

if TYPE_CHECKING:
    from django.db.models.fields.files import FieldFile

    from fl_server_core.models.model import GlobalModel
    from fl_server_core.models.round import Round

FIRST_MOMENT, SECOND_MOMENT = "first_moment", "second_moment"
OPTIMIZER_STATE = "optimizer_state"


class ModelVersion(models.Model):
    """The weights of a global model at one moment. Its weights never change; only a name and a pin may be set later.

    number: the model's own counter, from 0. round: the round of the wire that the version belongs to.
    made_by: the round that made it; None for an upload. weights_file: empty once the version is no longer kept.
    """

    model = models.ForeignKey("fl_server_core.GlobalModel", on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    round = models.IntegerField()
    weights_file = models.FileField(upload_to=new_file_name, blank=True, db_index=True)
    digest = models.CharField(max_length=64, blank=True, help_text="SHA-256 of the weights' file, hexadecimal.")
    size = models.PositiveBigIntegerField(default=0, help_text="Bytes of the weights' file.")
    made_by = models.ForeignKey(
        "fl_server_core.Round", on_delete=models.SET_NULL, null=True, blank=True, related_name="versions"
    )
    name = models.CharField(max_length=256, blank=True)
    pinned = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["number"]
        constraints = [models.UniqueConstraint(fields=["model", "number"], name="one_version_per_model_and_number")]

    def __str__(self) -> str:
        return f"Version {self.number} of {self.model_id}"

    @property
    def is_available(self) -> bool:
        """Is its file still kept?"""
        return bool(self.weights_file)

    @property
    def weights(self) -> StoredWeights:
        """The file as a new version would name it."""
        return StoredWeights(self.weights_file.name or "", self.digest, self.size)

    def file(self, name: str) -> FieldFile | None:
        """A file that belongs to the version, such as its first moment; None if it has none of this name."""
        found = self.files.filter(name=name).first()
        return found.file if found else None


class VersionFile(models.Model):
    """A file that belongs to a version: a moment, or the state of a server optimizer."""

    version = models.ForeignKey(ModelVersion, on_delete=models.CASCADE, related_name="files")
    name = models.CharField(max_length=32)
    file = models.FileField(upload_to=new_file_name, db_index=True)

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["version", "name"], name="one_file_per_version_and_name")]

    def __str__(self) -> str:
        return f"{self.name} of {self.version_id}"


class StoredWeights(NamedTuple):
    """A file of weights in the storage. digest: SHA-256, hexadecimal. size: bytes."""

    name: str
    digest: str
    size: int


def store_weights(content: bytes) -> StoredWeights:
    """Write weights that are in memory. For scripts and shells: the server itself streams."""
    name = default_storage.save(new_file_name(None, ""), ContentFile(content))
    return StoredWeights(name, hashlib.sha256(content).hexdigest(), len(content))


def append_version(
    model: GlobalModel,
    weights: StoredWeights,
    *,
    made_by: Round | None = None,
    files: Mapping[str, str] | None = None,
) -> ModelVersion:
    """Make the next version of a model and point the model to it. Saves the model's round, too.

    files: the names of stored files that belong to the version, by their part.
    The caller holds a lock on the model's row or its training's, or is alone with a new model.
    """
    newest = ModelVersion.objects.filter(model_id=model.pk).aggregate(newest=Max("number"))["newest"]
    version = ModelVersion.objects.create(
        model_id=model.pk,
        number=0 if newest is None else newest + 1,
        round=model.round,
        weights_file=weights.name,
        digest=weights.digest,
        size=weights.size,
        made_by=made_by,
    )
    VersionFile.objects.bulk_create(
        [VersionFile(version=version, name=part, file=name) for part, name in (files or {}).items()]
    )
    model.current_version = version
    model.save_base(update_fields=["current_version", "round"])
    return version
