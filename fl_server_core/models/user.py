from __future__ import annotations

import uuid

from django.contrib.auth.models import AbstractUser
from django.db import models

from fl_server_core.validators import validate_endpoint, validate_endpoint_port


class User(AbstractUser):
    """An actor, a participant, an admin, or several of these.

    The flag `client` is information only, and so is `actor`, unless FL_ACTORS says that it is needed. trusted_actors,
    trusts_everyone: whose trainings the user takes part in without being asked.
    """

    id = models.UUIDField(primary_key=True, editable=False, default=uuid.uuid4)
    actor = models.BooleanField(
        default=False, help_text="Registers models and trainings. Needed for it where FL_ACTORS is `flagged`."
    )
    client = models.BooleanField(default=False, help_text="Wants to take part in trainings (information only).")
    message_endpoint = models.CharField(
        max_length=2048,
        blank=True,
        validators=[validate_endpoint, validate_endpoint_port],
        help_text="Where notifications are sent. Empty: the user fetches them.",
    )
    trusted_actors = models.ManyToManyField("self", symmetrical=False, blank=True, related_name="trusted_by")
    trusts_everyone = models.BooleanField(default=False)
    token_generation = models.IntegerField(default=0, editable=False)
    """Raised whenever the API token is to change: see `fl_server_core.services.tokens`."""
    secret_generation = models.IntegerField(default=0, editable=False)
    """Raised whenever the notification secret is rotated: see `fl_server_core.selectors.notification_secrets`."""
    former_secrets_until: models.JSONField[list[str], list[str]] = models.JSONField(default=list, editable=False)
    """Until when each former generation signs, too (ISO 8601), the newest first."""
