"""The trail: who did what, when, from where. docs/audit.md"""

from __future__ import annotations

from typing import Any

from django.db import models
from django.utils import timezone

ONLY = 1
START = "0" * 64
"""The hash before the first position."""


class Outcome(models.TextChoices):
    DONE = "done", "done"
    REFUSED = "refused", "refused"
    FAILED = "failed", "failed"


class Credential(models.TextChoices):
    """What somebody signed in with."""

    TOKEN = "token", "token"
    PASSWORD = "password", "password"
    SESSION = "session", "session"
    IDENTITY = "identity", "identity token"
    NONE = "none", "nothing"
    SERVER = "server", "the server itself"


class AuditEntry(models.Model):
    """One deed, or several of the same kind (`count`).

    It names rows by their ids, without foreign keys, and outlives them. Never changed, and deleted only by purging:
    triggers refuse everything else (migration 0010).
    account: who did it; empty for strangers. object: what it was done to; of a sign-in that was refused, the account
    that was tried, if there is one. status: of the HTTP answer. details: whole numbers and short texts (the hash needs
    one way to write each).
    """

    at = models.DateTimeField(default=timezone.now, db_index=True)
    account_id = models.UUIDField(null=True)
    account_name = models.CharField(max_length=150, blank=True)
    credential = models.CharField(max_length=16, choices=Credential.choices, default=Credential.NONE)
    token_id = models.UUIDField(null=True)
    token_name = models.CharField(max_length=100, blank=True)
    address = models.CharField(max_length=64, blank=True)
    verb = models.CharField(max_length=32)
    object_kind = models.CharField(max_length=32, blank=True)
    object_id = models.CharField(max_length=64, blank=True, db_index=True)
    object_name = models.CharField(max_length=200, blank=True)
    training_id = models.UUIDField(null=True)
    round = models.IntegerField(null=True)
    outcome = models.CharField(max_length=16, choices=Outcome.choices, default=Outcome.DONE)
    status = models.PositiveSmallIntegerField(null=True)
    count = models.PositiveIntegerField(default=1)
    details: models.JSONField[Any, Any] = models.JSONField(default=dict)

    class Meta:
        ordering = ["id"]
        default_permissions = ("view",)
        verbose_name = "trail entry"
        verbose_name_plural = "trail"
        indexes = [
            models.Index(fields=["account_id", "id"], name="audit_of_account"),
            models.Index(fields=["training_id", "id"], name="audit_of_training"),
        ]

    def __str__(self) -> str:
        return f"{self.verb} {self.object_kind}".strip()


class AuditPending(models.Model):
    """An entry that is not sealed yet. A trigger writes this row together with the entry."""

    entry_id = models.BigIntegerField(primary_key=True)

    class Meta:
        default_permissions = ()


class AuditSeal(models.Model):
    """An entry's place in the chain. hash: of the entry, its position and the hash before it."""

    position = models.BigIntegerField(primary_key=True)
    entry_id = models.BigIntegerField(unique=True)
    hash = models.CharField(max_length=64)
    sealed_at = models.DateTimeField(db_index=True)

    class Meta:
        ordering = ["position"]
        default_permissions = ()


class AuditChain(models.Model):
    """One row: the chain's last position and hash, and those of the last entry that was purged."""

    number = models.PositiveSmallIntegerField(primary_key=True, default=ONLY, editable=False)
    position = models.BigIntegerField(default=0)
    hash = models.CharField(max_length=64, default=START)
    purged_position = models.BigIntegerField(default=0)
    purged_hash = models.CharField(max_length=64, default=START)

    class Meta:
        default_permissions = ()
        constraints = [models.CheckConstraint(condition=models.Q(number=ONLY), name="one_audit_chain")]
