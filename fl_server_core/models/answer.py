from __future__ import annotations

from django.conf import settings
from django.db import models

from fl_server_core.models.files import new_file_name
from fl_server_core.models.model import LocalModel
from fl_server_core.models.phase import Phase
from fl_server_core.models.training import Training


class Answer(models.Model):
    """One participant's answer to one round: an update, moments or test metrics. A repeat replaces it.

    target: the id that the update was uploaded to; under FedDC a row that is gone after the round.
    digest: SHA-256 of the uploaded files (hexadecimal), by which a retry of a request that was answered is known.
    counted: the round was claimed with this answer in it; it counts even if its participant leaves.
    """

    training = models.ForeignKey(Training, on_delete=models.CASCADE, related_name="answers")
    participant = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="answers")
    phase = models.CharField(max_length=8, choices=Phase.choices)
    round = models.IntegerField()
    answered_at = models.DateTimeField(auto_now=True)
    sample_size = models.PositiveBigIntegerField(default=0)
    target = models.UUIDField(null=True, blank=True)
    digest = models.CharField(max_length=64, blank=True)
    counted = models.BooleanField(default=False)
    local_model = models.OneToOneField(LocalModel, on_delete=models.SET_NULL, null=True, blank=True)
    first_moment_file = models.FileField(upload_to=new_file_name, blank=True)
    second_moment_file = models.FileField(upload_to=new_file_name, blank=True)

    class Meta:
        ordering = ["answered_at", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["training", "phase", "round", "participant"], name="one_answer_per_participant_and_round"
            )
        ]

    def __str__(self) -> str:
        return f"{self.participant_id}: {self.phase} of round {self.round}"


__all__ = ["Answer", "Phase"]
