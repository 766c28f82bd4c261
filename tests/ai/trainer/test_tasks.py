"""The tasks that are nobody's in particular: what the sweep starts every hour."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from fl_server_ai.trainer.tasks import purge, seal
from fl_server_core.models import AuditEntry, AuditSeal, Delivery, DeliveryStatus, NotificationType
from tests.builders.rows import make_delivery, make_running, make_user

pytestmark = pytest.mark.django_db


def test_a_session_that_has_run_out_is_purged() -> None:
    for name in ("gone", "here"):
        Client().force_login(make_user(name))
    old = Session.objects.first()
    assert old is not None
    Session.objects.filter(pk=old.pk).update(expire_date=timezone.now() - timedelta(seconds=1))
    purge()
    assert Session.objects.count() == 1
    assert not Session.objects.filter(pk=old.pk).exists()


def test_settled_deliveries_stay_for_the_days_that_are_set(settings: Settings) -> None:
    training = make_running(make_user("actor"))
    delivery = make_delivery(training, make_user(), NotificationType.CLIENT_REMOVED)
    two_days_ago = timezone.now() - timedelta(days=2)
    Delivery.objects.filter(pk=delivery.pk).update(status=DeliveryStatus.ACCEPTED, settled_at=two_days_ago, round=None)
    settings.FL_KEEP_DELIVERIES_DAYS = 3
    purge()
    assert Delivery.objects.count() == 1
    settings.FL_KEEP_DELIVERIES_DAYS = 1
    purge()
    assert Delivery.objects.count() == 0


def test_the_trail_stays_for_the_days_that_are_set_or_for_ever(settings: Settings) -> None:
    with pytest.MonkeyPatch.context() as patch:
        two_days_ago = timezone.now() - timedelta(days=2)
        patch.setattr(timezone, "now", lambda: two_days_ago)
        AuditEntry.objects.create(verb="start")
        seal()
    for days, left in ((0, ["start"]), (3, ["start"]), (1, ["purge"])):
        settings.FL_AUDIT_DAYS = days
        purge()
        assert list(AuditEntry.objects.values_list("verb", flat=True)) == left


def test_the_sealing_task_may_run_twice() -> None:
    AuditEntry.objects.create(verb="start")
    seal()
    seal()
    assert AuditSeal.objects.count() == 1
