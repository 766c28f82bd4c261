from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models


class Scope(models.TextChoices):
    """What a token may do: read, change, and manage its account and the account's tokens."""

    READ = "read", "read"
    WRITE = "write", "write"
    ACCOUNT = "account", "manage the account"


class AccessToken(models.Model):
    """A key with which a program acts as a user. The key itself is not stored.

    digest: of the key, as `fl_server_core.services.digests` makes it.
    generation: of the user's API token, which its user can read again since it is derived (`services/tokens.py`). None:
    a token that was shown once.
    """

    id = models.UUIDField(primary_key=True, editable=False, default=uuid.uuid4)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="tokens")
    name = models.CharField(max_length=100, help_text="What uses it, for example “laptop” or “nightly job”.")
    digest = models.CharField(max_length=64, unique=True, editable=False)
    scopes: models.JSONField[list[str], list[str]] = models.JSONField(default=list)
    generation = models.IntegerField(null=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True, help_text="Empty: never.")
    last_used_at = models.DateTimeField(null=True, editable=False, help_text="To the nearest five minutes.")

    class Meta:
        ordering = ["created_at", "id"]
        verbose_name = "token"

    def __str__(self) -> str:
        return self.name

    @property
    def is_api_token(self) -> bool:
        """Is it the one that the account was made with, or its successor?"""
        return self.generation is not None

    def allows(self, scope: Scope) -> bool:
        """Does the token have this scope?"""
        return scope.value in self.scopes
