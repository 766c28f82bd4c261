from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models

from fl_server_core.models.files import new_file_name
from fl_server_core.models.model import LocalModel
from fl_server_core.models.round import Round


class Submission(models.Model):
    """One participant's part in one round: an update, moments, test metrics, or what another kind asks for.

    A repeat replaces it, until the round is claimed.

    target: the id that was uploaded to; under FedDC the id of a model that is deleted after the round.
    digest: SHA-256 of what was submitted (hexadecimal), by which a retry of a request that was answered is known.
    counted: the round was claimed with this submission in it; it counts even if its participant leaves.
    content: what was sent as JSON. figures: how it is beside the others of its round.
    """

    round = models.ForeignKey(Round, on_delete=models.CASCADE, related_name="submissions")
    participant = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="submissions")
    submitted_at = models.DateTimeField(auto_now=True)
    sample_size = models.PositiveBigIntegerField(default=0)
    target = models.UUIDField(null=True, blank=True)
    digest = models.CharField(max_length=64, blank=True)
    counted = models.BooleanField(default=False)
    local_model = models.OneToOneField(LocalModel, on_delete=models.SET_NULL, null=True, blank=True)
    content: models.JSONField[Any, Any] = models.JSONField(null=True, blank=True)
    figures: models.JSONField[Any, Any] = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ["submitted_at", "id"]
        constraints = [
            models.UniqueConstraint(fields=["round", "participant"], name="one_submission_per_round_and_participant")
        ]
        indexes = [models.Index(fields=["digest"], name="submission_digest")]

    def __str__(self) -> str:
        return f"{self.participant_id} in round {self.round_id}"


class SubmissionFile(models.Model):
    """A file of a submission, by the name of its part. The file of an update belongs to its local model instead."""

    submission = models.ForeignKey(Submission, on_delete=models.CASCADE, related_name="files")
    name = models.CharField(max_length=32)
    file = models.FileField(upload_to=new_file_name)

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["submission", "name"], name="one_file_per_submission_and_name")]

    def __str__(self) -> str:
        return f"{self.name} of {self.submission_id}"
