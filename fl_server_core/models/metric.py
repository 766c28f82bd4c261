from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models

from fl_server_core.models.model import Model
from fl_server_core.models.model_version import ModelVersion
from fl_server_core.models.round import Round
from fl_server_core.utils import torch_serialization

if TYPE_CHECKING:
    import torch


class Metric(models.Model):
    """A figure, or any other bytes, that somebody reported of a model.

    step, version: the model's round and its current version at the time. test_round: the round that it was asked in.
    """

    model = models.ForeignKey(Model, on_delete=models.CASCADE, related_name="metrics")
    identifier = models.CharField(max_length=64, null=True, blank=True)  # noqa: DJ001  null on the wire
    key = models.CharField(max_length=32)
    value_float = models.FloatField(null=True, blank=True)
    value_binary = models.BinaryField(null=True, blank=True)
    step = models.IntegerField(null=True, blank=True)
    reporter = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, blank=True)
    version = models.ForeignKey(ModelVersion, on_delete=models.SET_NULL, null=True, blank=True, related_name="metrics")
    test_round = models.ForeignKey(Round, on_delete=models.SET_NULL, null=True, blank=True, related_name="metrics")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.key} of {self.model_id}"

    def is_float(self) -> bool:
        return self.value_float is not None

    def is_binary(self) -> bool:
        return self.value_binary is not None

    @property
    def value(self) -> float | bytes | None:
        return self.value_float if self.value_binary is None else bytes(self.value_binary)

    @value.setter
    def value(self, value: float | bytes | None) -> None:
        is_number = isinstance(value, (int, float))
        self.value_float = float(value) if is_number else None  # type: ignore[arg-type]
        self.value_binary = None if is_number else value

    @value.deleter
    def value(self) -> None:
        self.value_float = None
        self.value_binary = None

    def to_torch(self) -> torch.nn.Module | torch.Tensor:
        """The binary value, loaded by torch: for trusted shells only.

        Raises:
            ValueError: the value is a number, or no torch file.
        """
        if self.value_binary is None:
            raise ValueError(f"{self} is no binary value.")
        return torch_serialization.to_torch_module_or_tensor(bytes(self.value_binary))
