"""The pages of a model: who may see them, what they say, and what their buttons do."""

from __future__ import annotations

from typing import Any, cast

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from fl_server_api.body_limits import PLAIN_BYTES, largest_body
from fl_server_api.pages import model as pages
from fl_server_core.models import AuditEntry, Event, EventKind, GlobalModel, Metric, User
from fl_server_core.models.model_version import append_version, store_weights
from tests.api.pages.addresses import model_at, page_of
from tests.builders.clients import browser_of, staff_with
from tests.builders.files import pickled_linear
from tests.builders.rows import (
    make_mean_model,
    make_metric,
    make_running,
    make_training,
    make_update,
    make_user,
)

pytestmark = pytest.mark.django_db
ENDS = ("", "curves/", "file/", "difference/?first=0&second=1", "try/")


def report(model: GlobalModel, number: int, key: str, *values: float) -> None:
    """So many participants reported these values of a version in a test round."""
    version = model.versions.get(number=number)
    for index, value in enumerate(values):
        person, _ = User.objects.get_or_create(username=f"clinic-{index}")
        make_metric(model, key, value, reporter=person, version=version, is_test=True, step=number)


def test_the_owner_a_participant_and_staff_with_the_permission_look_and_others_do_not(
    model: GlobalModel, owner: User
) -> None:
    participant, outsider = make_user(is_staff=True), make_user(is_staff=True)
    make_training(owner, [participant], model)
    for end in ENDS:
        for user in (owner, participant, staff_with("view_globalmodel") if end == "" else owner):
            assert browser_of(user).get(model_at(model, end)).status_code == 200, (end, user)
        assert browser_of(outsider).get(model_at(model, end)).status_code == 403
        assert browser_of(make_user()).get(model_at(model, end))["Location"].startswith("/admin/login/")
    assert browser_of(owner).get("/admin/models/6f0c2f63-6e1d-4c19-8f21-6a3f1f0a9c02/").status_code == 404


def test_only_who_manages_the_model_restores_names_and_pins(model: GlobalModel, owner: User) -> None:
    participant, viewer = make_user(is_staff=True), staff_with("view_globalmodel", "view_modelversion")
    make_training(owner, [participant], model)
    for user in (participant, viewer):
        client = browser_of(user)
        assert "Restore …" not in page_of(client, model_at(model))
        for step in ("restore", "describe"):
            assert client.post(model_at(model, f"versions/0/{step}/")).status_code == 403
    assert model.versions.count() == 2
    assert "Restore …" in page_of(browser_of(owner), model_at(model))


def test_a_version_is_restored_after_a_question(model: GlobalModel, owner: User) -> None:
    client = browser_of(owner)
    assert "becomes a new version" in page_of(client, model_at(model, "versions/0/restore/"))
    assert model.versions.count() == 2
    answer = client.post(model_at(model, "versions/0/restore/"), follow=True)
    assert "Version 0 restored as version 2." in answer.content.decode()
    assert "restored from version 0" in " ".join(answer.content.decode().split())
    event = Event.objects.get(kind=EventKind.VERSION_RESTORED)
    assert (event.author, event.figures) == (owner, {"version": 0, "restored_as": 2})


def test_a_version_is_named_and_pinned(model: GlobalModel, owner: User) -> None:
    client = browser_of(owner)
    client.post(model_at(model, "versions/0/describe/"), {"name": "the first", "pinned": "on"})
    version = model.versions.get(number=0)
    assert (version.name, version.pinned) == ("the first", True)
    page = page_of(client, model_at(model))
    assert "the first" in page
    assert "pinned" in page
    client.post(model_at(model, "versions/0/describe/"), {"name": ""})
    version.refresh_from_db()
    assert (version.name, version.pinned) == ("", False)


def test_a_refused_step_is_told_in_a_sentence(model: GlobalModel, owner: User) -> None:
    make_running(owner, [], model=model)
    client = browser_of(owner)
    answer = client.post(model_at(model, "versions/0/restore/"), follow=True)
    assert "Stop the training first." in answer.content.decode()
    answer = client.post(model_at(model, "versions/7/describe/"), {"name": "x"}, follow=True)
    assert "has no version 7" in answer.content.decode()
    answer = client.post(model_at(model, "versions/0/describe/"), {"name": "x" * 300}, follow=True)
    assert "at most 256 characters" in answer.content.decode()
    assert client.get(model_at(model, f"versions/{10**30}/restore/")).status_code == 404
    assert client.get(model_at(model, "versions/0/explode/")).status_code == 404


def test_each_metric_has_its_mean_and_spread_by_version(model: GlobalModel, operator: Client) -> None:
    report(model, 0, "accuracy", 0.5, 0.7)
    report(model, 1, "accuracy", 0.8, 0.8)
    plot = operator.get(model_at(model, "curves/")).json()["plots"]["accuracy"]
    assert plot["x"] == {"label": "version", "values": [0, 1]}
    (series,) = plot["series"]
    assert (series["y"], series["low"], series["high"]) == ([0.6, 0.8], [0.5, 0.8], [0.7, 0.8])
    assert "Version 1 is the current one. Its means in tests: accuracy 0.8." in page_of(operator, model_at(model))


def test_a_participants_last_value_counts(model: GlobalModel, operator: Client) -> None:
    report(model, 0, "loss", 9.0, 1.0)
    report(model, 0, "loss", 3.0)
    plot = operator.get(model_at(model, "curves/")).json()["plots"]["loss"]
    assert plot["series"][0]["y"] == [2.0]


def test_two_versions_are_compared_by_metrics_and_tensors(model: GlobalModel, operator: Client) -> None:
    report(model, 0, "accuracy", 0.5)
    report(model, 1, "accuracy", 0.75)
    answer = operator.get(model_at(model, "difference/?first=0&second=1"))
    assert answer.context["metrics"] == [("accuracy", 0.5, 0.75, 0.25)]
    rows = {row.tensor.name: row for row in answer.context["movement"].rows}
    # Six weights and two biases went from 1 to 3: √6·2 and √2·2, twice their norms.
    assert rows["0.weight"].tensor.difference == pytest.approx(4.898979)
    assert (rows["0.bias"].percent, rows["0.weight"].part) == (pytest.approx(200.0), 100.0)
    page = " ".join(answer.content.decode().split())
    assert "the tensors moved by 5.657, which is 200 % of their norm." in page
    assert "<code>0.weight</code> moved most: 4.899." in page
    assert "+0.25" in page


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("", "Choose the two versions"),
        ("?first=0&second=9", "has no version 9."),
        ("?first=x&second=1", "must be a whole number"),
        (f"?first={10**30}&second=1", "must be a whole number"),
    ],
)
def test_versions_that_cannot_be_compared_are_told(
    model: GlobalModel, operator: Client, query: str, sentence: str
) -> None:
    assert sentence in page_of(operator, model_at(model, f"difference/{query}"))


def test_a_model_tells_where_it_is_used(model: GlobalModel, owner: User, operator: Client) -> None:
    training = make_training(owner, [], model)
    mean = make_mean_model(owner, [model], name="all of them")
    page = page_of(operator, model_at(model))
    assert f"/admin/trainings/{training.pk}/" in page
    assert model_at(mean) in page
    assert "all of them" in page
    assert model_at(model) in page_of(operator, model_at(mean))
    update = make_update(model, make_user("clinic"))
    assert "Update by clinic" in page_of(operator, model_at(update))
    assert model_at(model) in page_of(operator, model_at(update))


def test_a_stranger_who_may_see_the_model_does_not_see_means_of_others(model: GlobalModel, owner: User) -> None:
    participant = make_user(is_staff=True)
    make_training(owner, [participant], model)
    make_mean_model(owner, [model], name="secret plan")
    assert "secret plan" not in page_of(browser_of(participant), model_at(model))


def test_the_page_takes_as_many_statements_for_many_versions_as_for_one(model: GlobalModel, operator: Client) -> None:
    make_training(model.owner, [make_user()], model)
    report(model, 0, "accuracy", 0.5)
    with CaptureQueriesContext(connection) as few:
        operator.get(model_at(model))
    for number in range(2, 12):
        append_version(model, store_weights(b"x"))
        report(model, number, "accuracy", 0.5, 0.6)
    with CaptureQueriesContext(connection) as many:
        operator.get(model_at(model))
    assert len(many) == len(few) <= 15


def test_the_list_leads_to_the_page_which_leads_to_the_form(model: GlobalModel, operator: Client) -> None:
    listed = operator.get("/admin/fl_server_core/globalmodel/").content.decode()
    assert f'href="{model_at(model)}"' in listed
    assert f"/admin/fl_server_core/globalmodel/{model.pk}/change/" in page_of(operator, model_at(model))


def test_the_page_that_takes_an_input_takes_as_much_as_the_inference_does(model: GlobalModel) -> None:
    assert largest_body(model_at(model, "try/")) == largest_body("/api/inference/") > PLAIN_BYTES
    assert largest_body(model_at(model, "versions/0/restore/")) == largest_body(model_at(model)) == PLAIN_BYTES


def test_a_download_of_a_version_is_its_file(model: GlobalModel, owner: User) -> None:
    tensors = browser_of(owner).get(f"/api/models/{model.pk}/?version=0&format=safetensors")
    assert (tensors.status_code, "safetensors" in tensors["Content-Disposition"]) == (200, True)
    assert "?version=0&amp;format=safetensors" in page_of(browser_of(owner), model_at(model))
    answer = browser_of(owner).get(f"/api/models/{model.pk}/?version=0")
    assert b"".join(cast(Any, answer).streaming_content) == pickled_linear(1.0)
    assert f'href="/api/models/{model.pk}/?version=0"' in page_of(browser_of(owner), model_at(model))


def test_metrics_that_no_test_round_asked_for_are_no_figures_of_a_version(model: GlobalModel, operator: Client) -> None:
    version = model.versions.get(number=0)
    Metric.objects.create(model=model, key="loss", value_float=1.0, version=version, reporter=make_user())
    assert operator.get(model_at(model, "curves/")).json() == {"plots": {}}


def test_a_model_that_is_deleted_meanwhile_is_not_found(
    model: GlobalModel, owner: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    update = make_update(model, owner)

    def delete_the_base(_update: object) -> list[object]:
        GlobalModel.objects.get(pk=model.pk).delete()
        return []

    monkeypatch.setattr(pages, "shown_versions", delete_the_base)
    assert browser_of(owner).get(model_at(update)).status_code == 404


def test_so_many_metrics_are_shown_and_no_more(model: GlobalModel, operator: Client) -> None:
    for index in range(25):
        report(model, 1, f"metric-{index:02}", 0.5)
    assert len(operator.get(model_at(model)).context["versions"][0].metrics) == 20
    assert len(operator.get(model_at(model, "curves/")).json()["plots"]) == 20


def test_what_is_done_on_the_pages_is_in_the_trail(model: GlobalModel, owner: User) -> None:
    client = browser_of(owner)
    client.post(model_at(model, "versions/0/restore/"))
    client.post(model_at(model, "versions/0/describe/"), {"name": "first"})
    client.post(model_at(model, "try/"), {"text": "[[1, 2, 3]]"})
    entries = AuditEntry.objects.filter(object_id=str(model.pk)).order_by("pk")
    assert [(entry.verb, entry.object_kind, entry.account_id) for entry in entries] == [
        ("restore version", "model", owner.pk),
        ("change version", "model", owner.pk),
        ("infer", "model", owner.pk),
    ]
