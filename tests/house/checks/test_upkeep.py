"""What the checks say of retention, alerts and e-mail."""

import pytest
from django.core.checks import run_checks
from pytest_django import Settings

from tests.builders.rows import make_alert_rule, make_user
from tests.house.checks.found import ids

pytestmark = pytest.mark.once


def test_a_setting_that_keeps_longer_what_another_one_takes_along_is_a_warning(settings: Settings) -> None:
    settings.FL_KEEP_EVENTS_DAYS, settings.FL_KEEP_ALERTS_DAYS = 89, 90
    settings.FL_KEEP_UPDATES_DAYS, settings.FL_KEEP_METRICS_DAYS = 30, 0
    assert ids() == ["fl_server.W062", "fl_server.W063"]
    settings.FL_KEEP_ALERTS_DAYS = 89
    settings.FL_KEEP_METRICS_DAYS = 7
    assert ids() == []


def test_a_password_for_the_mail_server_goes_by_tls(settings: Settings) -> None:
    settings.EMAIL_HOST_PASSWORD, settings.FL_EMAIL_SECURITY = "secret", "none"
    assert ids() == ["fl_server.W040"]
    settings.FL_EMAIL_SECURITY = "starttls"
    assert ids() == []


@pytest.mark.django_db
def test_rules_by_email_without_a_mail_server_are_reported(settings: Settings) -> None:
    rule = make_alert_rule(make_user(), channel="email", url="")
    assert [message.id for message in run_checks(tags=["database"], databases=["default"])] == ["fl_server.W041"]
    assert [message.id for message in run_checks(databases=None) if message.id == "fl_server.W041"] == []
    settings.FL_EMAIL_HOST = "mail"
    assert run_checks(tags=["database"], databases=["default"]) == []
    settings.FL_EMAIL_HOST = ""
    type(rule).objects.update(active=False)
    assert run_checks(tags=["database"], databases=["default"]) == []
