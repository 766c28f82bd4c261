from django.db import models


class Phase(models.TextChoices):
    """What a training waits for. Its five states cannot tell an update round from a test round."""

    IDLE = "idle", "idle"
    UPDATE = "update", "update round"
    SWAG = "swag", "SWAG round"
    TEST = "test", "test round"
