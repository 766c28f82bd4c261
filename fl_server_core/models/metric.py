from __future__ import annotations

import math
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
    value_special: a figure that is not finite, as SQLite would store NaN as NULL; `value_float` is null then.
    """

    class Special(models.TextChoices):
        NAN = "nan"
        INFINITY = "inf"
        MINUS_INFINITY = "-inf"

    model = models.ForeignKey(Model, on_delete=models.CASCADE, related_name="metrics")
    identifier = models.CharField(max_length=64, null=True, blank=True)  # noqa: DJ001  null on the wire
    key = models.CharField(max_length=32)
    value_float = models.FloatField(null=True, blank=True)
    value_special = models.CharField(max_length=4, blank=True, choices=Special.choices, editable=False)
    value_binary = models.BinaryField(null=True, blank=True)
    step = models.IntegerField(null=True, blank=True)
    reporter = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, blank=True)
    version = models.ForeignKey(ModelVersion, on_delete=models.SET_NULL, null=True, blank=True, related_name="metrics")
    test_round = models.ForeignKey(Round, on_delete=models.SET_NULL, null=True, blank=True, related_name="metrics")
    is_test = models.BooleanField(default=False, editable=False, help_text="Whether a test round asked for it.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["model", "id"], name="metric_of_model")]  # finds a model's last one

    def __str__(self) -> str:
        return f"{self.key} of {self.model_id}"

    def is_float(self) -> bool:
        return self.value_float is not None or self.value_special != ""

    def is_binary(self) -> bool:
        return self.value_binary is not None

    @property
    def value(self) -> float | bytes | None:
        if self.value_binary is not None:
            return bytes(self.value_binary)
        return float(self.value_special) if self.value_special else self.value_float

    @value.setter
    def value(self, value: float | bytes | None) -> None:
        del self.value
        if not isinstance(value, (int, float)):
            self.value_binary = value
        elif math.isfinite(value):
            self.value_float = float(value)
        else:
            self.value_special = str(float(value))

    @value.deleter
    def value(self) -> None:
        self.value_float = None
        self.value_special = ""
        self.value_binary = None

    def to_torch(self) -> torch.nn.Module | torch.Tensor:
        """The binary value, loaded by torch: for trusted shells only.

        Raises:
            ValueError: the value is a number, or not a torch file.
        """
        if self.value_binary is None:
            raise ValueError(f"{self} is not a binary value.")
        return torch_serialization.to_torch_module_or_tensor(bytes(self.value_binary))
