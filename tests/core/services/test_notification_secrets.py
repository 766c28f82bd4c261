from __future__ import annotations

from base64 import b64decode
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from fl_server_core.exceptions import EntityNotFound, NotAllowed
from fl_server_core.models import Event, EventKind, User
from fl_server_core.selectors.notification_secrets import notification_secrets_of
from fl_server_core.services.notification_secrets import rotate_notification_secret
from tests.builders.clients import make_operator, staff_with
from tests.builders.rows import make_user

pytestmark = pytest.mark.django_db


def rotate(user: User, author: User | None = None) -> User:
    return rotate_notification_secret(user=user, author=author or user)


def pass_time(monkeypatch: pytest.MonkeyPatch, passed: timedelta) -> None:
    later = timezone.now() + passed
    monkeypatch.setattr(timezone, "now", lambda: later)


def test_a_secret_is_a_key_of_32_bytes_and_the_same_each_time() -> None:
    anna, ben = make_user("anna"), make_user("ben")
    (secret,) = notification_secrets_of(anna)
    assert secret.startswith("whsec_")
    assert len(b64decode(secret.removeprefix("whsec_"), validate=True)) == 32
    assert notification_secrets_of(User.objects.get(pk=anna.pk)) == [secret] != notification_secrets_of(ben)


def test_no_table_holds_a_secret() -> None:
    secrets = notification_secrets_of(rotate(make_user("anna")))
    assert len(secrets) == 2
    for name in connection.introspection.table_names():
        with connection.cursor() as cursor:
            cursor.execute(f'SELECT * FROM "{name}"')
            rows = str(cursor.fetchall())
        assert [secret for secret in secrets if secret.removeprefix("whsec_") in rows] == [], name


def test_a_rotated_secret_signs_for_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    anna = make_user("anna")
    (old,) = notification_secrets_of(anna)
    rotate(anna)
    anna.refresh_from_db()
    new = notification_secrets_of(anna)[0]
    pass_time(monkeypatch, timedelta(hours=23))
    assert notification_secrets_of(anna) == [new, old]
    assert new != old
    pass_time(monkeypatch, timedelta(hours=1, minutes=1))
    assert notification_secrets_of(anna) == [new]


def test_of_several_rotations_in_a_day_each_secret_keeps_its_own_day(monkeypatch: pytest.MonkeyPatch) -> None:
    anna = make_user("anna")
    seen = notification_secrets_of(anna)
    for _ in range(3):  # after 10, 20 and 30 hours
        pass_time(monkeypatch, timedelta(hours=10))
        anna = rotate(anna)
        seen.insert(0, notification_secrets_of(anna)[0])
    assert notification_secrets_of(anna) == seen
    pass_time(monkeypatch, timedelta(hours=15))
    assert notification_secrets_of(anna) == seen[:2]
    assert notification_secrets_of(rotate(anna))[1:] == seen[:2]


def test_five_secrets_sign_at_most() -> None:
    anna = make_user("anna")
    seen = notification_secrets_of(anna)
    for _ in range(6):
        anna = rotate(anna)
        seen.insert(0, notification_secrets_of(anna)[0])
    assert len(set(seen)) == 7
    assert notification_secrets_of(anna) == seen[:5]


def test_a_former_secret_key_signs_as_long_as_it_is_accepted(settings: Settings) -> None:
    anna = make_user("anna")
    (old,) = notification_secrets_of(anna)
    old_key, settings.SECRET_KEY = settings.SECRET_KEY, "another secret key"
    assert old not in notification_secrets_of(anna)
    settings.SECRET_KEY_FALLBACKS = [old_key]
    assert notification_secrets_of(anna)[1:] == [old]


def test_who_may_change_an_account_rotates_its_secret_and_nobody_else() -> None:
    anna, ben, clerk, chief = make_user("anna"), make_user("ben"), staff_with("change_user"), make_operator()
    for author in (anna, clerk, chief):
        rotate(anna, author)
    for account, author in ((anna, ben), (chief, clerk)):
        with pytest.raises(NotAllowed):
            rotate(account, author)
    rows = Event.objects.filter(kind=EventKind.SECRET_ROTATED).order_by("id")
    assert [(row.user, row.author) for row in rows] == [(anna, anna), (anna, clerk), (anna, chief)]
    assert User.objects.get(pk=anna.pk).secret_generation == 3


def test_an_account_that_has_just_been_deleted_is_not_found() -> None:
    anna = make_user("anna")
    User.objects.filter(pk=anna.pk).delete()
    with pytest.raises(EntityNotFound):
        rotate(anna)
