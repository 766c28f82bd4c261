from __future__ import annotations

from django.conf import settings
from django.db import models


class Identity(models.Model):
    """Who a user is at an OpenID Connect provider: the subject that its issuer never gives to anybody else."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="identities")
    issuer = models.CharField(max_length=255, help_text="The provider, as FL_OIDC_ISSUER names it.")
    subject = models.CharField(max_length=255, help_text="The provider's id of the user: the claim “sub”.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        verbose_name_plural = "identities"
        constraints = [models.UniqueConstraint(fields=["issuer", "subject"], name="unique_identity")]

    def __str__(self) -> str:
        return f"{self.subject} at {self.issuer}"
