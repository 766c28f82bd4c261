from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models


class Invitation(models.Model):
    """A code with which one person may register once, until it expires. The code itself is not stored.

    digest: of the code, as `fl_server_core.services.digests` makes it. author: who invited; None: the command line.
    """

    id = models.UUIDField(primary_key=True, editable=False, default=uuid.uuid4)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    note = models.CharField(
        max_length=200, blank=True, help_text="Whom it is for. Only those who see this page can read it."
    )
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, editable=False, related_name="invitations"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, editable=False)
    used_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, editable=False, related_name="+"
    )

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return self.note or f"invitation {self.id}"
