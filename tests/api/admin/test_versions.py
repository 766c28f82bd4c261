"""The versions of a model: listed on its page, named, pinned and restored on their own."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from fl_server_core.models import Event, EventKind, GlobalModel, ModelVersion, User
from tests.api.admin.pages import act, list_url, page_url
from tests.builders.clients import browser_of, staff_with
from tests.builders.rows import make_metric, make_model, make_round, make_running, make_training
from tests.builders.storage import make_newer

pytestmark = pytest.mark.django_db


@pytest.fixture
def model(actor: User) -> GlobalModel:
    """Three versions: 0 and 1 are older, 2 is the current one."""
    made: GlobalModel = make_model(actor, name="digits", weights=b"zero")
    for content in (b"first", b"second"):
        make_newer(made, content)
    return GlobalModel.objects.get(pk=made.pk)


def version_of(model: GlobalModel, number: int) -> ModelVersion:
    return model.versions.get(number=number)


def edit(client: Client, version: ModelVersion, **fields: str) -> Any:
    return client.post(page_url(version), fields)


def test_the_page_of_a_model_lists_its_versions_with_the_means_of_their_metrics(
    operator: Client, model: GlobalModel, actor: User, anna: User, ben: User
) -> None:
    test = make_round(make_training(actor, [anna, ben], model=model), "test")
    for person, value in ((anna, 0.5), (ben, 0.75)):
        make_metric(model, "accuracy", value, reporter=person, version=version_of(model, 1), test_round=test)
    ModelVersion.objects.filter(number=0).update(weights_file="")
    ModelVersion.objects.filter(number=1).update(name="best so far", pinned=True)
    page = operator.get(page_url(model)).content.decode()
    rows = {number: page[page.index(page_url(version_of(model, number))) :].split("</tr>")[0] for number in (0, 1, 2)}
    digest = version_of(model, 1).digest
    assert len(digest) == 64
    for number, words in {
        0: ("no longer kept",),
        1: ("kept, pinned", "best so far", "accuracy 0.625", f"{digest[:12]}<", "5\xa0bytes"),
        2: ("current, kept", "6\xa0bytes"),
    }.items():
        assert [word for word in words if word not in rows[number]] == []
    assert digest not in page


def test_a_model_with_many_versions_shows_the_latest_and_links_to_all(operator: Client, model: GlobalModel) -> None:
    for _ in range(20):
        make_newer(model, b"more")
    page = operator.get(page_url(model)).content.decode()
    assert page_url(version_of(model, 22)) in page
    assert page_url(version_of(model, 2)) not in page
    assert "All 23</a>" in page
    full = operator.get(f"{list_url(ModelVersion)}?model__id__exact={model.pk}")
    assert full.context["cl"].result_count == 23


def test_a_version_is_named_and_pinned_and_nothing_else_is_written(operator: Client, model: GlobalModel) -> None:
    version = version_of(model, 1)
    before = {name: getattr(version, name) for name in ("number", "round", "digest", "size", "weights_file")}
    assert edit(operator, version, name="best", pinned="on", number="9", weights_file="", digest="x").status_code == 302
    version.refresh_from_db()
    assert (version.name, version.pinned) == ("best", True)
    assert {name: getattr(version, name) for name in before} == before
    (event,) = Event.objects.all()
    assert (event.kind, event.model) == (EventKind.VERSION_DESCRIBED, model)
    assert event.author == User.objects.get(username="operator")
    assert event.figures == {"version": 1, "name": "best", "pinned": True}


def test_versions_are_pinned_and_unpinned_from_the_list(operator: Client, model: GlobalModel) -> None:
    old, new = version_of(model, 0), version_of(model, 1)
    assert act(operator, ModelVersion, "pin", old, new) == ["2 of 2 versions pinned."]
    assert act(operator, ModelVersion, "unpin", old) == ["1 version unpinned."]
    assert list(model.versions.filter(pinned=True)) == [new]
    authors = Event.objects.values_list("kind", "author__username")
    assert list(authors) == [(EventKind.VERSION_DESCRIBED, "operator")] * 3


def test_a_restored_version_is_the_newest_and_leaves_an_event(operator: Client, model: GlobalModel) -> None:
    old = version_of(model, 0)
    assert act(operator, ModelVersion, "restore", old) == ["Version 0 restored as version 3."]
    model = GlobalModel.objects.get(pk=model.pk)
    assert model.current_version is not None
    assert (model.current_version.number, model.weights) == (3, b"zero")
    (event,) = Event.objects.all()
    assert (event.kind, event.model, event.author) == (
        EventKind.VERSION_RESTORED,
        model,
        User.objects.get(username="operator"),
    )


def test_only_one_version_is_restored_at_a_time(operator: Client, model: GlobalModel) -> None:
    selected = (version_of(model, 0), version_of(model, 1))
    assert act(operator, ModelVersion, "restore", *selected) == ["Select one version to restore."]
    assert model.versions.count() == 3


def test_what_a_running_training_improves_is_not_restored(
    operator: Client, model: GlobalModel, actor: User, anna: User
) -> None:
    make_running(actor, [anna], model=model)
    assert act(operator, ModelVersion, "restore", version_of(model, 0)) == ["Stop the training first."]
    assert model.versions.count() == 3


def test_a_version_whose_file_is_gone_can_be_looked_at_only(operator: Client, model: GlobalModel) -> None:
    ModelVersion.objects.filter(number=0).update(weights_file="")
    version = version_of(model, 0)
    assert operator.get(page_url(version)).status_code == 200
    assert edit(operator, version, name="best").status_code == 403
    for action in ("restore", "pin"):
        (message,) = act(operator, ModelVersion, action, version)
        assert "is no longer kept" in message


def test_versions_are_neither_created_nor_deleted_here(operator: Client, model: GlobalModel) -> None:
    assert operator.get("/admin/fl_server_core/modelversion/add/").status_code == 403
    assert operator.post(page_url(version_of(model, 0), "delete"), {"post": "yes"}).status_code == 403
    assert model.versions.count() == 3


def test_staff_who_may_only_look_change_no_version(model: GlobalModel) -> None:
    client = browser_of(staff_with("view_modelversion"))
    version = version_of(model, 0)
    assert client.get(page_url(version)).status_code == 200
    assert edit(client, version, name="best").status_code == 403
    for action in ("restore", "pin"):
        act(client, ModelVersion, action, version)
    assert not Event.objects.exists()
