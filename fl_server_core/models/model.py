from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from polymorphic.models import PolymorphicModel

from fl_server_core.models.files import file_bytes, new_file_name
from fl_server_core.utils import torch_serialization

if TYPE_CHECKING:
    import torch

    from fl_server_core.models.training import Training


class Model(PolymorphicModel):
    """Weights with an owner: a file of one of four kinds."""

    id = models.UUIDField(primary_key=True, editable=False, default=uuid.uuid4)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    round = models.IntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)
    weights_file = models.FileField(upload_to=new_file_name, blank=True)

    weights = file_bytes("weights_file")

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


class GlobalModel(Model):
    """A model that an actor uploaded and that a training may improve.

    input_shape: one entry a dimension, None for a free one; None altogether where nothing is known of the input.
    """

    name = models.CharField(max_length=256)
    description = models.TextField()
    input_shape = models.JSONField(null=True, blank=True)
    preprocessing_file = models.FileField(upload_to=new_file_name, blank=True)
    stats = models.JSONField(null=True, blank=True, help_text="Layer statistics, computed once.")

    preprocessing = file_bytes("preprocessing_file")

    def __str__(self) -> str:
        return self.name

    @property
    def has_preprocessing(self) -> bool:
        return bool(self.preprocessing_file)

    def get_preprocessing_torch_model(self) -> torch.nn.Module:
        """The preprocessing, loaded into this process: for trusted shells only.

        Raises:
            ValueError: there is none, or it is no module.
        """
        return torch_serialization.to_torch_module(self._bytes_of("preprocessing"))


class SWAGModel(GlobalModel):
    """A global model with the mean and the mean square of its parameters, as vectors in named_parameters() order."""

    swag_first_moment_file = models.FileField(upload_to=new_file_name, blank=True)
    swag_second_moment_file = models.FileField(upload_to=new_file_name, blank=True)

    swag_first_moment = file_bytes("swag_first_moment_file")
    swag_second_moment = file_bytes("swag_second_moment_file")

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
    """A global model that is the mean of others; it has no weights of its own."""

    models = models.ManyToManyField(GlobalModel, related_name="mean_models")


class LocalModel(Model):
    """One participant's update of a global model.

    passed_to: under FedDC the participant who trains this model on in the round that follows.
    """

    base_model = models.ForeignKey(GlobalModel, on_delete=models.CASCADE, related_name="local_models")
    sample_size = models.PositiveBigIntegerField()
    passed_to = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="passed_models"
    )


def copy_files(model: Model) -> dict[str, str]:
    """Copies of a model's files: their names, by the field that names the original."""
    copies = {}
    for field in type(model)._meta.concrete_fields:
        if isinstance(field, models.FileField) and (source := getattr(model, field.attname)):
            with source.storage.open(source.name, "rb") as file:
                copies[field.attname] = source.storage.save(new_file_name(model, ""), file)
    return copies


def clone_model(model: GlobalModel, copies: Mapping[str, str] | None = None) -> GlobalModel:
    """A saved copy of a global model with files, name and round of its own, but without metrics.

    copies: the names of the files, if `copy_files` has made them already.
    """
    fields = {
        field.attname: getattr(model, field.attname)
        for field in type(model)._meta.concrete_fields
        if not isinstance(field, (models.FileField, models.AutoField, models.OneToOneField))
        and field.name not in ("id", "created_at", "polymorphic_ctype")
    }
    copy = type(model)(**fields, **(copy_files(model) if copies is None else copies))
    copy.save()
    if isinstance(model, MeanModel) and isinstance(copy, MeanModel):
        copy.models.set(model.models.all())
    return copy
