from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import models
from polymorphic.models import PolymorphicModel

from fl_server_core.models.files import file_bytes, new_file_name, read_all
from fl_server_core.models.model_version import (
    FIRST_MOMENT,
    SECOND_MOMENT,
    ModelVersion,
    StoredWeights,
    VersionFile,
    append_version,
    store_weights,
)
from fl_server_core.utils import torch_serialization

if TYPE_CHECKING:
    import torch
    from django.db.models.fields.files import FieldFile

    from fl_server_core.models.training import Training


MOMENTS = (FIRST_MOMENT, SECOND_MOMENT)


class Model(PolymorphicModel):
    """Weights with an owner, of one of four kinds. `weights`: their file's bytes, for scripts and shells."""

    id = models.UUIDField(primary_key=True, editable=False, default=uuid.uuid4)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    round = models.IntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)

    weights: Any = None

    class Meta:
        ordering = ["created_at", "id"]

    def __str__(self) -> str:
        return f"{type(self).__name__} {self.id}"

    def is_global_model(self) -> bool:
        return isinstance(self, GlobalModel)

    def is_local_model(self) -> bool:
        return isinstance(self, LocalModel)

    def get_training(self) -> Training | None:
        """The training that this model, or the base of this local model, is the global model of."""
        from fl_server_core.models.training import Training

        base_id = self.base_model_id if isinstance(self, LocalModel) else self.pk
        return Training.objects.filter(model_id=base_id).first()

    def get_torch_model(self) -> torch.nn.Module:
        """The model, loaded into this process: for trusted shells only, since loading a model runs its code.

        Raises:
            ValueError: there are no weights, or they hold no module.
        """
        return torch_serialization.to_torch_module(self._bytes_of("weights"))

    def set_torch_model(self, value: torch.nn.Module) -> None:
        """Take the weights of `value`; call `save` to keep them."""
        self.weights = torch_serialization.from_torch_module(value)

    def _bytes_of(self, name: str) -> bytes:
        content: bytes | None = getattr(self, name)
        if content is None:
            raise ValueError(f"{self} has no {name}.")
        return content


def _version_bytes(name: str) -> property:
    """What belongs to a model's versions, as bytes. Assigning and saving makes a new version, or adds to it."""

    def read(instance: GlobalModel) -> bytes | None:
        return (instance.assigned or {}).get(name) or read_all(instance.version_file(name))

    def write(instance: GlobalModel, content: bytes | None) -> None:
        instance.assigned = {**(instance.assigned or {}), name: content}

    return property(read, write)


class GlobalModel(Model):
    """A model that an actor uploaded and that a training may improve. Its weights are those of its current version.

    input_shape: one entry a dimension, None for a free one; None altogether where nothing is known of the input.
    """

    name = models.CharField(max_length=256)
    description = models.TextField()
    input_shape = models.JSONField(null=True, blank=True)
    preprocessing_file = models.FileField(upload_to=new_file_name, blank=True, db_index=True)
    stats = models.JSONField(null=True, blank=True, help_text="Layer statistics, computed once.")
    pickled_names = models.JSONField(
        null=True, blank=True, editable=False, help_text="What the weights' and the preprocessing's pickles name."
    )
    current_version = models.ForeignKey(
        ModelVersion, on_delete=models.SET_NULL, null=True, blank=True, editable=False, related_name="+"
    )

    preprocessing = file_bytes("preprocessing_file")
    weights = _version_bytes("weights")
    assigned: dict[str, bytes | None] | None = None  # what `save` makes a version of

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save the row; weights or moments that were assigned become a version."""
        if self.assigned:
            self.pickled_names = None
        super().save(*args, **kwargs)
        if self.assigned:
            assigned, self.assigned = self.assigned, None
            _keep_assigned(self, {name: content for name, content in assigned.items() if content is not None})

    @property
    def weights_file(self) -> FieldFile | None:
        """The file of the current version; None also if that was deleted, with its model, since the row was read."""
        try:
            return self.current_version.weights_file if self.current_version else None
        except ModelVersion.DoesNotExist:
            return None

    def version_file(self, name: str) -> FieldFile | None:
        """The weights' file, or the newest file of another part that a version has."""
        if name == "weights":
            return self.weights_file
        found = VersionFile.objects.filter(version__model_id=self.pk, name=name).order_by("-version__number").first()
        return found.file if found else None

    @property
    def has_preprocessing(self) -> bool:
        return bool(self.preprocessing_file)

    def get_preprocessing_torch_model(self) -> torch.nn.Module:
        """The preprocessing, loaded into this process: for trusted shells only.

        Raises:
            ValueError: there is none, or it is not a module.
        """
        return torch_serialization.to_torch_module(self._bytes_of("preprocessing"))


class SWAGModel(GlobalModel):
    """A global model with the mean and the mean square of its parameters, as vectors in named_parameters() order."""

    swag_first_moment = _version_bytes(FIRST_MOMENT)
    swag_second_moment = _version_bytes(SECOND_MOMENT)

    @property
    def first_moment(self) -> torch.Tensor:
        """E[w], shape (parameters,). Raises ValueError where there is none."""
        return torch_serialization.to_torch_tensor(self._bytes_of("swag_first_moment"))

    @first_moment.setter
    def first_moment(self, value: torch.Tensor) -> None:
        self.swag_first_moment = torch_serialization.from_torch_tensor(value)

    @property
    def second_moment(self) -> torch.Tensor:
        """E[w²], shape (parameters,). Raises ValueError where there is none."""
        return torch_serialization.to_torch_tensor(self._bytes_of("swag_second_moment"))

    @second_moment.setter
    def second_moment(self, value: torch.Tensor) -> None:
        self.swag_second_moment = torch_serialization.from_torch_tensor(value)


class MeanModel(GlobalModel):
    """A global model that is the mean of others; it has neither weights nor versions of its own."""

    models = models.ManyToManyField(GlobalModel, related_name="mean_models")


class LocalModel(Model):
    """One participant's update of a global model.

    is_clean: its file is the global model's with the update's tensors, and has nothing else of what was uploaded.
    passed_to: under FedDC the participant who trains this model on in the round that follows.
    """

    base_model = models.ForeignKey(GlobalModel, on_delete=models.CASCADE, related_name="local_models")
    sample_size = models.PositiveBigIntegerField()
    weights_file = models.FileField(upload_to=new_file_name, blank=True)
    is_clean = models.BooleanField(default=False, editable=False)
    passed_to = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="passed_models"
    )

    _weights = file_bytes("weights_file")

    @property
    def weights(self) -> bytes | None:
        content: bytes | None = self._weights
        return content

    @weights.setter
    def weights(self, content: bytes | None) -> None:
        self._weights, self.is_clean = content, False


def _keep_assigned(model: GlobalModel, assigned: dict[str, bytes]) -> None:
    """Make a version of assigned weights; moments alone are added to the current version, unless it has some."""
    stored = {name: store_weights(content) for name, content in assigned.items()}
    parts = {name: file.name for name, file in stored.items() if name != "weights"}
    current = model.current_version
    if "weights" in stored:
        append_version(model, stored["weights"], files=parts)
    elif parts and current is not None and not current.files.filter(name__in=parts).exists():
        VersionFile.objects.bulk_create(
            [VersionFile(version=current, name=part, file=name) for part, name in parts.items()]
        )
    elif parts:
        append_version(model, current.weights if current else StoredWeights("", "", 0), files=parts)


def clone_model(model: GlobalModel) -> GlobalModel:
    """A saved copy of a global model with its current version as version 0, but without metrics.

    Rows are copied, not bytes: both models name the same files, which are never changed. The state of a server
    optimizer is left behind.
    """
    left_out = ("id", "created_at", "polymorphic_ctype", "current_version")
    fields = {
        field.attname: getattr(model, field.attname)
        for field in type(model)._meta.concrete_fields
        if not isinstance(field, (models.AutoField, models.OneToOneField)) and field.name not in left_out
    }
    copy = type(model)(**fields)
    copy.save()
    if model.current_version is not None:
        current = model.current_version
        moments = {name: file.name or "" for name in MOMENTS if (file := model.version_file(name))}
        append_version(copy, current.weights, files=moments)
    if isinstance(model, MeanModel) and isinstance(copy, MeanModel):
        copy.models.set(model.models.all())
    return copy
