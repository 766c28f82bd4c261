"""What services let operators do, and nobody else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fl_server_core.exceptions import EntityNotFound, InvalidValue, NotAllowed
from fl_server_core.models import Delivery, Event, Metric, User
from fl_server_core.services.accounts import delete_user
from fl_server_core.services.delivery_retries import retry_deliveries
from fl_server_core.services.metrics import delete_metrics
from fl_server_core.services.tokens import make_token, renew_api_token
from fl_server_core.services.users import edit_user, register_user, set_password
from tests.builders.clients import make_operator, make_staff
from tests.builders.rows import make_metric, make_model, make_user

pytestmark = pytest.mark.django_db

Step = Callable[[User, User], Any]
ON_ACCOUNTS: dict[str, Step] = {
    "edit": lambda author, user: edit_user(user_id=user.pk, author=author, values={"first_name": "New"}),
    "password": lambda author, user: set_password(user_id=user.pk, author=author, password="a long password"),
    "delete": lambda author, user: delete_user(user=user, author=author),
}
OTHERS: dict[str, Step] = {
    "register": lambda author, user: register_user(username="new", password=None, author=author),
    "retry": lambda author, user: retry_deliveries(deliveries=Delivery.objects.all(), user=author),
    "metrics": lambda author, user: delete_metrics(metric_ids=[make_metric(make_model(user)).pk], user=author),
}
SUPERUSERS_ONLY: dict[str, Step] = {
    "token": lambda author, user: renew_api_token(user=user, author=author),
    "named token": lambda author, user: make_token(user=user, author=author, name="x", scopes=["read"]),
    "privilege": lambda author, user: edit_user(user_id=user.pk, author=author, values={"is_staff": True}),
    "groups": lambda author, user: edit_user(user_id=user.pk, author=author, values={"groups": []}),
}


@pytest.mark.parametrize("step", [*ON_ACCOUNTS, *OTHERS, *SUPERUSERS_ONLY])
def test_users_who_are_not_staff_are_refused(step: str) -> None:
    steps = {**ON_ACCOUNTS, **OTHERS, **SUPERUSERS_ONLY}
    with pytest.raises(NotAllowed):
        steps[step](make_user("outsider"), make_user("anna"))
    assert not Event.objects.exists()


@pytest.mark.parametrize("step", [*ON_ACCOUNTS, *OTHERS])
def test_staff_may(step: str) -> None:
    {**ON_ACCOUNTS, **OTHERS}[step](make_staff("clerk"), make_user("anna"))
    assert not Metric.objects.exists()


@pytest.mark.parametrize("step", SUPERUSERS_ONLY)
def test_only_superusers_renew_tokens_and_give_privileges(step: str) -> None:
    anna = make_user("anna")
    with pytest.raises(NotAllowed):
        SUPERUSERS_ONLY[step](make_staff("clerk"), anna)
    SUPERUSERS_ONLY[step](make_operator(), anna)


@pytest.mark.parametrize("step", [*ON_ACCOUNTS, *SUPERUSERS_ONLY])
def test_staff_who_are_not_superusers_leave_superusers_alone(step: str) -> None:
    chief = make_operator()
    with pytest.raises(NotAllowed):
        {**ON_ACCOUNTS, **SUPERUSERS_ONLY}[step](make_staff("clerk"), chief)
    assert User.objects.filter(pk=chief.pk).exists()


def test_an_edit_writes_only_what_was_edited() -> None:
    operator, anna = make_operator(), make_user("anna", last_name="Old")
    User.objects.filter(pk=anna.pk).update(last_name="Newer")
    edit_user(user_id=anna.pk, author=operator, values={"first_name": "Anna"})
    anna.refresh_from_db()
    assert (anna.first_name, anna.last_name) == ("Anna", "Newer")


def test_a_name_that_somebody_else_has_is_refused() -> None:
    operator, anna, ben = make_operator(), make_user("anna"), make_user("ben")
    with pytest.raises(InvalidValue, match="already exists"):
        edit_user(user_id=anna.pk, author=operator, values={"username": ben.username})
    assert not Event.objects.exists()


def test_a_deleted_account_is_not_edited() -> None:
    anna = make_user("anna")
    User.objects.filter(pk=anna.pk).delete()
    with pytest.raises(EntityNotFound):
        edit_user(user_id=anna.pk, author=make_operator(), values={"first_name": "Anna"})
