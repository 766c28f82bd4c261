from __future__ import annotations

from uuid import uuid4

import pytest

from fl_server_core.exceptions import EntityNotFound, NotAllowed
from fl_server_core.models import GlobalModel, Model
from fl_server_core.selectors.models import (
    complete,
    find_model,
    get_model,
    get_readable_model,
    global_of,
    metrics_of_model,
)
from tests.builders.rows import make_metric, make_model, make_swag_model, make_update, make_user

pytestmark = pytest.mark.django_db


def test_a_model_is_found_as_what_it_is() -> None:
    owner = make_user()
    base = make_swag_model(owner)
    update = make_update(base, owner)
    assert find_model(base.pk) == get_model(base.pk) == base
    assert type(get_model(update.pk)) is type(update)
    assert global_of(update) == global_of(base) == base


def test_what_is_not_there_is_not_found_in_the_name_that_was_asked_for() -> None:
    unknown = uuid4()
    assert find_model(unknown) is None
    with pytest.raises(EntityNotFound, match=f"GlobalModel {unknown} not found."):
        get_model(unknown, "GlobalModel")


def test_a_model_that_is_deleted_between_two_statements_is_not_there() -> None:
    model = make_model(make_user())
    assert complete([Model(pk=uuid4()), model]) == [model]


def test_the_base_of_an_update_that_was_just_deleted_is_not_found() -> None:
    owner = make_user()
    update = make_update(make_model(owner), owner)
    found = get_model(update.pk)
    GlobalModel.objects.all().delete()
    with pytest.raises(EntityNotFound, match="Model"):
        global_of(found)


def test_who_may_read_a_model_gets_it_and_others_do_not() -> None:
    owner = make_user()
    model = make_model(owner)
    assert get_readable_model(model.pk, owner) == model
    with pytest.raises(NotAllowed):
        get_readable_model(model.pk, make_user())
    with pytest.raises(EntityNotFound):
        get_readable_model(uuid4(), make_user())


def test_metrics_are_those_of_the_model_alone() -> None:
    owner = make_user()
    base = make_model(owner)
    metric = make_metric(base)
    make_metric(make_update(base, owner))
    assert list(metrics_of_model(base.pk, owner)) == [metric]
    with pytest.raises(NotAllowed):
        metrics_of_model(base.pk, make_user())
