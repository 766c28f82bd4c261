from __future__ import annotations

from django.db import models


class FailedSignIns(models.Model):
    """How often somebody at one address failed to sign in to one account, since `began_at`.

    address: as `fl_server_core.services.sign_in_limits` groups them. account: a keyed digest of the name that was
    given, for people type their passwords, and programs send their tokens, where a name belongs.
    """

    address = models.CharField(max_length=64)
    account = models.CharField(max_length=64)
    failures = models.PositiveIntegerField(default=1)
    began_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["address", "account"], name="unique_failed_sign_ins")]
