from __future__ import annotations

import uuid
from typing import Any

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models

from fl_server_core.models.model import Model
from fl_server_core.registry import aggregation_choices, uncertainty_choices


class TrainingState(models.TextChoices):
    """As the wire has it. `transitions` says which may follow which."""

    INITIAL = "I", "initial"
    ONGOING = "O", "ongoing"
    COMPLETED = "C", "completed"
    ERROR = "E", "error"
    SWAG_ROUND = "S", "SWAG round"


class AggregationMethod(models.TextChoices):
    """Names for scripts. `registry.aggregation_methods` has all methods, those of other packages, too."""

    FED_AVG = "FedAvg", "FedAvg"
    FED_DC = "FedDC", "FedDC"
    FED_PROX = "FedProx", "FedProx"


class UncertaintyMethod(models.TextChoices):
    """Names for scripts. `registry.uncertainty_methods` has all methods, those of other packages, too."""

    NONE = "NONE", "none"
    ENSEMBLE = "ENSEMBLE", "ensemble"
    MC_DROPOUT = "MC_DROPOUT", "MC dropout"
    SWAG = "SWAG", "SWAG"


RUNNING_STATES = (TrainingState.ONGOING, TrainingState.SWAG_ROUND)


class Training(models.Model):
    """What is asked of the participants who improve one global model. What happens is in its rounds.

    Lock the training's row before changing it or its rounds. `locked`: a worker has claimed the open round.
    """

    id = models.UUIDField(primary_key=True, editable=False, default=uuid.uuid4)
    model = models.OneToOneField(Model, on_delete=models.CASCADE)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="actors")
    participants = models.ManyToManyField(settings.AUTH_USER_MODEL)
    state = models.CharField(max_length=1, choices=TrainingState.choices, default=TrainingState.INITIAL)
    target_num_updates = models.IntegerField()
    last_update = models.DateTimeField(auto_now=True)
    uncertainty_method = models.CharField(max_length=32, choices=uncertainty_choices, default=UncertaintyMethod.NONE)
    aggregation_method = models.CharField(max_length=32, choices=aggregation_choices, default=AggregationMethod.FED_AVG)
    options = models.JSONField(default=dict, blank=True, encoder=DjangoJSONEncoder)
    locked = models.BooleanField(default=False)

    metric_names = models.JSONField(default=list, blank=True)
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)
    first_round = models.IntegerField(null=True, blank=True, help_text="The round of the model at the start.")

    class Meta:
        ordering = ["created_at", "id"]
        indexes = [models.Index(fields=["state"])]

    def __str__(self) -> str:
        return f"Training {self.id}"

    @property
    def is_running(self) -> bool:
        return self.state in RUNNING_STATES

    @property
    def daisy_chain_period(self) -> int:
        """How many rounds make a period, at the end of which the passed-on models are averaged; 1: each round."""
        period = self.options.get("daisy_chain_period", 1) if isinstance(self.options, dict) else 1
        return period if isinstance(period, int) and period > 1 else 1


def post_save_training(
    sender: type[Training],  # noqa: ARG001  public: scripts call it as a receiver is called
    instance: Training,
    created: bool,
    raw: bool = False,
    **_kwargs: Any,
) -> None:
    """A daisy-chained training needs `daisy_chain_period` rounds for each of its target updates."""
    if raw or not created or instance.daisy_chain_period == 1:
        return
    instance.target_num_updates *= instance.daisy_chain_period
    instance.save(update_fields=["target_num_updates", "last_update"])


models.signals.post_save.connect(post_save_training, sender=Training)
