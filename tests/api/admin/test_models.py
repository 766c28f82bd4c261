"""The pages of models: what may be edited, and that deleting goes the way of the API."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.core.files.storage import default_storage
from django.test import Client

from fl_server_api.admin.models import GlobalModelForm
from fl_server_core.models import Delivery, GlobalModel, LocalModel, MeanModel, SWAGModel, Training, User
from tests.api.admin.pages import act, fill, kinds_left, list_url, page_url
from tests.builders.clients import browser_of, staff_with
from tests.builders.rounds import mark_claimed, submissions
from tests.builders.rows import make_model, make_running, make_submission, make_update, make_user
from tests.builders.storage import file_name_of, lose_file

pytestmark = pytest.mark.django_db


@pytest.fixture
def model() -> GlobalModel:
    fields: dict[str, Any] = {"name": "digits", "round": 3, "input_shape": [None, 64], "stats": {"total_params": 650}}
    model: GlobalModel = make_model(make_user("owner"), weights=b"0123456789", **fields)
    return model


def edit(client: Client, model: GlobalModel, **changes: Any) -> Any:
    fields = {"name": model.name, "description": model.description, "input_shape": "[null, 64]"}
    return client.post(page_url(model), {**fields, **changes})


def test_a_name_is_edited_and_nothing_else_is_written(operator: Client, model: GlobalModel) -> None:
    name = file_name_of(model)
    forged = {"round": "9", "weights_file": "", "owner": "x", "id": "x"}
    assert edit(operator, model, name="numbers", **forged).status_code == 302
    model.refresh_from_db()
    assert (model.name, model.round, file_name_of(model)) == ("numbers", 3, name)
    assert model.stats == {"total_params": 650}
    assert default_storage.exists(name)


def test_an_edit_of_a_model_that_was_deleted_meanwhile_is_a_message(
    operator: Client, model: GlobalModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    clean = GlobalModelForm.clean_input_shape

    def clean_while_it_is_deleted(form: GlobalModelForm) -> list[int | None] | None:
        GlobalModel.objects.all().delete()
        return clean(form)

    monkeypatch.setattr(GlobalModelForm, "clean_input_shape", clean_while_it_is_deleted)
    response = edit(operator, model, name="numbers")
    assert response.status_code == 302
    assert [str(message) for message in get_messages(response.wsgi_request)] == [f"GlobalModel {model.pk} not found."]
    # Nothing that the request did is left, not even the deletion.
    assert GlobalModel.objects.get().name == "digits"


def test_another_input_shape_outdates_the_layer_statistics(operator: Client, model: GlobalModel) -> None:
    assert edit(operator, model, input_shape="[null, 1, 8, 8]").status_code == 302
    model.refresh_from_db()
    assert (model.input_shape, model.stats) == ([None, 1, 8, 8], None)


@pytest.mark.parametrize("text", ["64", '["a"]', "[0]", "[-1]", "[1.5]", "[true]", "[3000000000]", "{}", "[", "[[1]]"])
def test_what_is_no_shape_is_refused(operator: Client, model: GlobalModel, text: str) -> None:
    response = edit(operator, model, input_shape=text)
    assert list(response.context["adminform"].form.errors) == ["input_shape"]


@pytest.mark.parametrize(
    ("field", "value"), [("name", ""), ("name", "a\0b"), ("name", "a" * 257), ("description", "\0")]
)
def test_texts_that_cannot_be_are_refused(operator: Client, model: GlobalModel, field: str, value: str) -> None:
    response = edit(operator, model, **{field: value})
    assert list(response.context["adminform"].form.errors) == [field]


def test_the_page_names_the_files_and_says_where_one_is_missing(operator: Client, model: GlobalModel) -> None:
    assert "10\xa0bytes" in operator.get(page_url(model)).content.decode()
    lose_file(model)
    assert "cannot be read" in operator.get(page_url(model)).content.decode()


def test_the_list_of_global_models_names_the_kind_and_the_training_of_each(operator: Client) -> None:
    rows = fill(1)
    listed = operator.get(list_url(GlobalModel)).context["cl"].result_list
    kinds = {row.pk: (type(row), row.training_state, row.updates) for row in listed}
    assert kinds == {
        rows[GlobalModel][0].pk: (GlobalModel, "O", 1),
        rows[SWAGModel][0].pk: (SWAGModel, None, 0),
        rows[MeanModel][0].pk: (MeanModel, None, 0),
    }


@pytest.mark.parametrize(("kind", "words"), [(SWAGModel, "First moment"), (MeanModel, "digits-0")])
def test_a_page_shows_what_only_its_kind_has_also_when_reached_from_the_list_of_all(
    operator: Client, kind: type[GlobalModel], words: str
) -> None:
    row = fill(1)[kind][0]
    for url in (page_url(row), f"{list_url(GlobalModel)}{row.pk}/change/"):
        assert words in operator.get(url).content.decode()


def test_models_are_not_created_here_and_updates_not_edited(operator: Client) -> None:
    update = fill(1)[LocalModel][0]
    for kind in ("globalmodel", "swagmodel", "meanmodel", "localmodel"):
        assert operator.get(f"/admin/fl_server_core/{kind}/add/").status_code == 403
    assert operator.post(page_url(update), {"sample_size": "5"}).status_code == 403


def test_deleting_a_model_deletes_its_training_and_tells_the_participants(operator: Client) -> None:
    actor, anna = make_user("actor"), make_user("anna")
    training = make_running(actor, [anna])
    model = GlobalModel.objects.get(pk=training.model_id)
    make_update(model, anna)
    assert operator.post(page_url(model, "delete"), {"post": "yes"}).status_code == 302
    assert kinds_left(Training, GlobalModel, LocalModel) == []
    assert list(Delivery.objects.values_list("receiver", "notification_type")) == [(anna.pk, "CLIENT_REMOVED")]


def test_the_deletion_of_several_models_of_all_kinds_tells_the_participants_too(operator: Client) -> None:
    rows = fill(2)
    models = [*rows[GlobalModel], *rows[SWAGModel], *rows[MeanModel]]
    Delivery.objects.all().delete()
    messages = act(operator, GlobalModel, "delete_selected", *models, post="yes")
    assert messages == ["Successfully deleted 6 global models."]
    assert kinds_left(Training, GlobalModel, LocalModel) == []
    assert list(Delivery.objects.values_list("notification_type", flat=True)) == ["CLIENT_REMOVED"] * 2


def make_counted_update() -> LocalModel:
    actor, anna = make_user("actor"), make_user("anna")
    training = make_running(actor, [anna])
    update = make_update(GlobalModel.objects.get(pk=training.model_id), anna)
    make_submission(training, anna, update=update)
    mark_claimed(training)
    return update


def test_an_update_that_is_being_aggregated_is_not_deleted_and_the_operator_is_told(operator: Client) -> None:
    update = make_counted_update()
    response = operator.post(page_url(update, "delete"), {"post": "yes"}, follow=True)
    assert "is being aggregated" in str(next(iter(response.context["messages"])))
    assert LocalModel.objects.filter(pk=update.pk).exists()


def test_if_one_of_several_cannot_be_deleted_none_is(operator: Client) -> None:
    update = make_counted_update()
    other = make_update(update.base_model, update.owner)
    (message,) = act(operator, LocalModel, "delete_selected", other, update, post="yes")
    assert "is being aggregated" in message
    assert LocalModel.objects.count() == 2
    log = operator.get(page_url(other, "history"))
    assert not log.context["action_list"]


def test_with_an_update_its_submission_is_deleted(operator: Client) -> None:
    rows = fill(1)
    (update,) = rows[LocalModel]
    assert act(operator, LocalModel, "delete_selected", update, post="yes") == ["Successfully deleted 1 local model."]
    assert submissions() == []


def test_deleting_a_model_needs_the_permission_to_delete_its_training(db: None) -> None:
    model = fill(1)[GlobalModel][0]
    client = browser_of(staff_with("view_globalmodel", "delete_globalmodel", "delete_localmodel", "delete_metric"))
    page = client.get(page_url(model, "delete"))
    assert page.context["perms_lacking"] == {"training"}
    assert client.post(page_url(model, "delete"), {"post": "yes"}).status_code == 403
    assert User.objects.filter(username="actor-0").exists()
    assert GlobalModel.objects.filter(pk=model.pk).exists()
