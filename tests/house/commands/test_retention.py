"""`manage.py retention`."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.utils import timezone
from pytest_django import Settings

from fl_server_core.models import AccessToken
from tests.builders.rows import make_token, make_user

pytestmark = pytest.mark.django_db


def lines(*arguments: str) -> list[str]:
    output = StringIO()
    call_command("retention", *arguments, stdout=output)
    return output.getvalue().splitlines()


def test_a_dry_run_says_what_would_go_and_removes_nothing(settings: Settings) -> None:
    settings.FL_KEEP_UPDATES_DAYS = 3
    make_token(make_user(), expires_at=timezone.now() - timedelta(days=91))
    number = AccessToken.objects.count()
    assert lines("--dry-run") == [
        "expired sessions: 0 would go (always)",
        "expired tokens: 1 would go (FL_KEEP_TOKENS_DAYS=90)",
        "settled notifications: 0 would go (FL_KEEP_DELIVERIES_DAYS=90)",
        "alerts: 0 would go (FL_KEEP_ALERTS_DAYS=90)",
        "events: kept for ever (FL_KEEP_EVENTS_DAYS=0)",
        "metrics: kept for ever (FL_KEEP_METRICS_DAYS=0)",
        "updates: 0 would go, with 0.0 MB of files (FL_KEEP_UPDATES_DAYS=3)",
        "entries of the trail: 0 would go (FL_AUDIT_DAYS=365)",
    ]
    assert AccessToken.objects.count() == number
    assert "expired tokens: 1 removed" in lines()
    assert AccessToken.objects.count() == number - 1
