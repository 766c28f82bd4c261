from __future__ import annotations

import uuid

from django.contrib.auth.models import AbstractUser
from django.db import models

from fl_server_core.validators import validate_endpoint


class User(AbstractUser):
    """An actor, a participant, an admin, or several of these. The flags are information; they enforce no role."""

    id = models.UUIDField(primary_key=True, editable=False, default=uuid.uuid4)
    actor = models.BooleanField(default=False, help_text="Wants to register models and trainings (information only).")
    client = models.BooleanField(default=False, help_text="Wants to take part in trainings (information only).")
    message_endpoint = models.CharField(
        max_length=2048,
        blank=True,
        validators=[validate_endpoint],
        help_text="Where notifications are sent. Empty: the user fetches them.",
    )
    token_generation = models.IntegerField(default=0, editable=False)
    """Raised whenever the API token is to change: see `fl_server_core.services.tokens`."""
