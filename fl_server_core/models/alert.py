from __future__ import annotations

import uuid

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from fl_server_core.models.event import Event
from fl_server_core.models.round import Round
from fl_server_core.models.training import Training
from fl_server_core.validators import validate_endpoint, validate_endpoint_port

LONGEST_MINUTES = 60 * 24 * 30
SHORTEST_PERIOD, LONGEST_PERIOD = 5, 60 * 24 * 7


class AlertCondition(models.TextChoices):
    FAILED = "failed", "a training failed"
    WAITING = "waiting", "a round waits too long"
    FINISHED = "finished", "a training finished or was stopped"


class AlertTrainings(models.TextChoices):
    OWN = "own", "those that the user is the actor of"
    TAKING_PART = "taking_part", "those that the user takes part in"
    ALL = "all", "all (staff)"
    ONE = "one", "one"


class AlertChannel(models.TextChoices):
    EMAIL = "email", "e-mail"
    WEBHOOK = "webhook", "webhook"


class AlertRule(models.Model):
    """What a user wants to be told of, of which trainings, and how.

    minutes: for WAITING: how long a round may wait. training: for ONE. url: for WEBHOOK. period_minutes: at most one
    message in so many; what happens in between is collected. active_since: what happened before is not told.
    next_message_at: the earliest time of the next message; while one is being sent, a lease.
    failures: how many times in a row a message could not be sent. last_error: why, the last time.
    """

    id = models.UUIDField(primary_key=True, editable=False, default=uuid.uuid4)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="alert_rules")
    condition = models.CharField(max_length=16, choices=AlertCondition.choices)
    trainings = models.CharField(max_length=16, choices=AlertTrainings.choices, default=AlertTrainings.OWN)
    training = models.ForeignKey(
        Training, on_delete=models.CASCADE, null=True, blank=True, related_name="alert_rules", help_text="If it is one."
    )
    minutes = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(LONGEST_MINUTES)],
        help_text="How many minutes a round may wait.",
    )
    channel = models.CharField(max_length=16, choices=AlertChannel.choices)
    url = models.CharField(
        max_length=2048,
        blank=True,
        validators=[validate_endpoint, validate_endpoint_port],
        help_text="Where a webhook's messages are sent.",
    )
    period_minutes = models.PositiveIntegerField(
        default=60,
        validators=[MinValueValidator(SHORTEST_PERIOD), MaxValueValidator(LONGEST_PERIOD)],
        help_text="At most one message in so many minutes. What happens in between comes in one message.",
    )
    active = models.BooleanField(default=True)
    active_since = models.DateTimeField(editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    next_message_at = models.DateTimeField(null=True, editable=False)
    last_message_at = models.DateTimeField(null=True, editable=False)
    failures = models.PositiveSmallIntegerField(default=0, editable=False)
    last_error = models.TextField(blank=True, editable=False)

    class Meta:
        ordering = ["created_at", "id"]
        indexes = [models.Index(fields=["active", "condition", "trainings"])]

    def __str__(self) -> str:
        return f"{self.get_condition_display()}, by {self.get_channel_display()}"


class Alert(models.Model):
    """One event, or one round that waits, that a rule is about. There is one for each rule and event, or round.

    text: what happened, a sentence. sent_at: when the message that has it was sent; None: not yet.
    """

    rule = models.ForeignKey(AlertRule, on_delete=models.CASCADE, related_name="alerts")
    training = models.ForeignKey(Training, on_delete=models.CASCADE, related_name="alerts")
    event = models.ForeignKey(Event, on_delete=models.CASCADE, null=True, blank=True, related_name="alerts")
    round = models.ForeignKey(Round, on_delete=models.CASCADE, null=True, blank=True, related_name="alerts")
    text = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)
    sent_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["rule", "event"], name="one_alert_per_rule_and_event"),
            models.UniqueConstraint(fields=["rule", "round"], name="one_alert_per_rule_and_round"),
        ]
        indexes = [models.Index(fields=["rule"], condition=models.Q(sent_at=None), name="alert_not_sent")]

    def __str__(self) -> str:
        return self.text
