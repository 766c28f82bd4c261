"""Steering trainings: the actions of the list, the fields of the page, and what neither of them may break."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client

from fl_server_core.admin.trainings import TrainingForm
from fl_server_core.models import Answer, Delivery, EventKind, GlobalModel, Phase, Training, TrainingEvent, User
from fl_server_core.models.delivery import NotificationType
from fl_server_core.models.training import TrainingState
from tests.core.admin.people import (
    act,
    client_of,
    list_url,
    make_delivery,
    make_running,
    make_training,
    make_user,
    page_url,
    staff_with,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def actor() -> User:
    return make_user("actor")


@pytest.fixture
def anna() -> User:
    return make_user("anna")


@pytest.fixture
def ben() -> User:
    return make_user("ben")


def edit(client: Client, training: Training, **changes: Any) -> Any:
    """Send the form of a training's page as it stands, but for these changes."""
    fields = {
        "target_num_updates": training.target_num_updates,
        "options": json.dumps(training.options),
        "metric_names": json.dumps(training.metric_names),
    }
    return client.post(page_url(training), {**fields, **changes})


def errors_of(response: Any) -> dict[str, list[str]]:
    assert response.status_code == 200
    return dict(response.context["adminform"].form.errors)


def sent_to(user: User) -> list[str]:
    return list(Delivery.objects.filter(receiver=user).values_list("notification_type", flat=True))


def test_start_opens_the_first_round_and_says_so(operator: Client, actor: User, anna: User) -> None:
    training = make_training(actor, anna)
    assert act(operator, Training, "start", training) == ["1 of 1 trainings started."]
    training.refresh_from_db()
    assert (training.state, training.phase) == (TrainingState.ONGOING, Phase.UPDATE)
    assert sent_to(anna) == ["TRAINING_START", "UPDATE_ROUND_START"]


def test_of_several_trainings_those_that_can_start_do_and_the_others_are_named(
    operator: Client, actor: User, anna: User
) -> None:
    empty, ready = make_training(actor), make_training(actor, anna)
    messages = act(operator, Training, "start", empty, ready)
    assert sorted(messages) == ["1 of 2 trainings started.", "At least one participant must be registered!"]
    states = dict(Training.objects.values_list("pk", "state"))
    assert states == {empty.pk: TrainingState.INITIAL, ready.pk: TrainingState.ONGOING}


def test_resume_takes_a_failed_training_back_to_its_phase_and_tells_who_is_missing(
    operator: Client, actor: User, anna: User, ben: User
) -> None:
    training = make_running(actor, anna, ben, state=TrainingState.ERROR, phase=Phase.TEST)
    Answer.objects.create(training=training, participant=ben, phase=Phase.TEST, round=0)
    assert act(operator, Training, "resume", training) == ["1 of 1 trainings resumed."]
    training.refresh_from_db()
    assert (training.state, training.phase) == (TrainingState.ONGOING, Phase.TEST)
    assert (sent_to(anna), sent_to(ben)) == (["MODEL_TEST_ROUND"], [])
    event = TrainingEvent.objects.get(training=training)
    assert (event.kind, event.user) == (EventKind.RESUMED, User.objects.get(username="operator"))


def test_stop_ends_a_running_training_and_tells_everybody(operator: Client, actor: User, anna: User) -> None:
    training = make_running(actor, anna)
    assert act(operator, Training, "stop", training) == ["1 of 1 trainings stopped."]
    training.refresh_from_db()
    assert training.state == TrainingState.ERROR  # no round was closed
    assert (sent_to(anna), sent_to(actor)) == (["TRAINING_FINISHED"], ["TRAINING_FINISHED"])


@pytest.mark.parametrize(("action", "words"), [("resume", "only a failed one"), ("stop", "is not running")])
def test_what_a_training_cannot_do_is_a_message(operator: Client, actor: User, action: str, words: str) -> None:
    training = make_training(actor)
    (message,) = act(operator, Training, action, training)
    assert words in message


def test_a_retry_counts_what_goes_out(operator: Client, actor: User, anna: User) -> None:
    training = make_running(actor, anna)
    given_up = make_delivery(training, anna, status="failed", attempts=6)
    make_delivery(training, anna, status="accepted")
    assert act(operator, Training, "retry_deliveries", training) == ["1 notifications are sent again."]
    given_up.refresh_from_db()
    assert (given_up.status, given_up.attempts) == ("pending", 0)


def test_staff_who_may_only_look_are_offered_no_action_and_cannot_run_one(actor: User, anna: User) -> None:
    training = make_training(actor, anna)
    client = client_of(staff_with("view_training"))
    page = client.get(list_url(Training))
    assert "retry_deliveries" not in page.content.decode()
    act(client, Training, "start", training)
    training.refresh_from_db()
    assert training.state == TrainingState.INITIAL
    assert client.get(page_url(training)).status_code == 200
    assert edit(client, training, target_num_updates=9).status_code == 403


def test_the_page_shows_who_is_awaited_and_why(operator: Client, actor: User, anna: User, ben: User) -> None:
    training = make_running(actor, anna, ben)
    Answer.objects.create(training=training, participant=ben, phase=Phase.UPDATE, round=0)
    make_delivery(training, anna, status="failed", attempts=6, last_error="<b>Connection refused</b>")
    page = operator.get(page_url(training)).content.decode()
    row = page[page.index(">anna</a>") :]
    row = row[: row.index("</tr>")]
    assert "awaited" in row
    assert "gave up" in row
    assert "&lt;b&gt;Connection refused" in row
    assert "awaited" not in page[page.index(">ben</a>") :]
    assert "1 of 2" in page


def test_the_tables_of_a_page_are_bounded(operator: Client, actor: User) -> None:
    users = User.objects.bulk_create([User(username=f"p-{index:03}") for index in range(150)])
    training = make_running(actor, *users)
    for index in range(30):
        TrainingEvent.objects.create(training=training, kind=EventKind.AGGREGATED, round=index)
    page = operator.get(page_url(training)).content.decode()
    assert ">p-099</a>" in page
    assert ">p-100</a>" not in page
    assert page.count("<td>aggregated</td>") == 20
    assert "All 30</a>" in page
    full = operator.get(f"/admin/fl_server_core/trainingevent/?training__id__exact={training.pk}")
    assert full.context["cl"].result_count == 30


def test_the_list_says_what_each_training_waits_for(operator: Client, actor: User, anna: User, ben: User) -> None:
    make_training(actor, anna, name="resting")
    waiting = make_running(actor, anna, ben, name="waiting", first_round=0)
    waiting.model.round = 2
    waiting.model.save()
    Answer.objects.create(training=waiting, participant=ben, phase=Phase.UPDATE, round=1)
    Answer.objects.create(training=waiting, participant=ben, phase=Phase.UPDATE, round=2)
    make_running(actor, anna, name="closing", locked=True)
    page = operator.get(list_url(Training)).content.decode()
    cells = {
        name: page[page.index(f">{name} <small>") :].split("</tr>")[0] for name in ("resting", "waiting", "closing")
    }
    for name, words in {
        "resting": ("initial", "0 of 5", "1 registered"),
        "waiting": (">update round<", "2 of 5", "1 of 2"),
        "closing": ("update round: is being closed", "0 of 5", "0 of 1"),
    }.items():
        assert [word for word in words if word not in cells[name]] == []


def test_options_and_target_are_edited_and_nothing_else_is_written(operator: Client, actor: User, anna: User) -> None:
    training = make_running(actor, anna)
    changes = {"options": '{"round_deadline": 60, "mu": 1}', "target_num_updates": 9, "metric_names": '["loss"]'}
    forged = {"state": "C", "phase": "idle", "round": "7", "locked": "on", "claim_attempts": "3", "actor": str(anna.pk)}
    assert edit(operator, training, **changes, **forged).status_code == 302
    before = training.last_update
    training.refresh_from_db()
    assert training.options == {"round_deadline": 60, "mu": 1}
    assert (training.target_num_updates, training.metric_names) == (9, ["loss"])
    assert (training.state, training.phase, training.locked) == (TrainingState.ONGOING, Phase.UPDATE, False)
    assert (training.claim_attempts, training.actor_id) == (0, actor.pk)
    assert training.last_update > before


def test_an_edit_leaves_what_a_worker_changed_meanwhile(
    operator: Client, actor: User, anna: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = make_running(actor, anna)
    clean = TrainingForm.clean_options

    def clean_while_a_worker_works(form: TrainingForm) -> dict[str, Any]:
        Training.objects.filter(pk=training.pk).update(phase=Phase.TEST, claim_attempts=2)
        return clean(form)

    monkeypatch.setattr(TrainingForm, "clean_options", clean_while_a_worker_works)
    assert edit(operator, training, target_num_updates=9).status_code == 302
    training.refresh_from_db()
    assert (training.phase, training.claim_attempts, training.target_num_updates) == (Phase.TEST, 2, 9)


BAD_OPTIONS = (
    ("[]", "Enter an object."),
    ("{", "Enter a valid JSON."),
    ('{"round_deadline": -1}', "round_deadline must be a number above 0"),
    ('{"min_updates": 2}', "min_updates needs a round_deadline"),
    ('{"daisy_chain_period": 3}', "daisy_chain_period cannot be changed"),
    ('{"a": "\\u0000"}', "Null characters are not allowed."),
    ('{"a": "\\ud800"}', "Lone surrogate characters are not allowed."),
    ('{"a": NaN}', "Use finite numbers only."),
    ('{"a": ' + "1" * 5000 + "}", "Enter valid JSON, not too deep and with numbers not too long."),
    ('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}", "Enter valid JSON, not too deep and with numbers not too long."),
    ('{"a": ' + "[" * 100 + "]" * 100 + "}", "Nest values no more than 64 deep."),
)


@pytest.mark.parametrize(("text", "sentence"), BAD_OPTIONS, ids=lambda value: value[:24])
def test_options_that_cannot_be_are_refused_and_shown_as_typed(
    operator: Client, actor: User, text: str, sentence: str
) -> None:
    training = make_training(actor, options={"mu": 1})
    response = edit(operator, training, options=text)
    assert sentence in errors_of(response)["options"][0]
    assert text.replace('"', "&quot;") in response.content.decode()
    training.refresh_from_db()
    assert training.options == {"mu": 1}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("target_num_updates", "0"),
        ("target_num_updates", str(2**31)),
        ("target_num_updates", "x"),
        ("metric_names", '{"a": 1}'),
        ("metric_names", "[1]"),
        ("metric_names", "{}"),
        ("add_participants", "abc"),
        ("add_participants", "00000000-0000-4000-8000-000000000000"),
        ("remove_participants", "\0"),
    ],
)
def test_values_that_cannot_be_are_refused(operator: Client, actor: User, field: str, value: str) -> None:
    assert list(errors_of(edit(operator, make_training(actor), **{field: value}))) == [field]


def test_a_daisy_chained_training_keeps_its_period_and_takes_other_options(operator: Client, actor: User) -> None:
    training = make_training(actor, options={"daisy_chain_period": 3}, target_num_updates=2)
    assert edit(operator, training, options='{"daisy_chain_period": 3, "mu": 1}').status_code == 302
    training.refresh_from_db()
    assert training.options == {"daisy_chain_period": 3, "mu": 1}
    assert training.target_num_updates == 6


def test_one_who_is_added_to_a_running_training_is_told_of_the_open_round(
    operator: Client, actor: User, anna: User, ben: User
) -> None:
    training = make_running(actor, anna)
    assert edit(operator, training, add_participants=[str(ben.pk)]).status_code == 302
    assert set(training.participants.all()) == {anna, ben}
    assert (sent_to(anna), sent_to(ben)) == ([], ["TRAINING_START", "UPDATE_ROUND_START"])


def test_one_who_is_removed_is_told_and_its_answer_dropped(
    operator: Client, actor: User, anna: User, ben: User
) -> None:
    training = make_running(actor, anna, ben)
    for person in (anna, ben):
        Answer.objects.create(training=training, participant=person, phase=Phase.UPDATE, round=0)
    assert edit(operator, training, remove_participants=[str(ben.pk)]).status_code == 302
    assert list(training.participants.all()) == [anna]
    assert (sent_to(anna), sent_to(ben)) == ([], [NotificationType.CLIENT_REMOVED])
    assert [answer.participant for answer in Answer.objects.all()] == [anna]


def test_deleting_a_running_training_tells_its_participants_and_keeps_the_model(
    operator: Client, actor: User, anna: User
) -> None:
    training = make_running(actor, anna)
    page = operator.get(page_url(training, "delete")).content.decode()
    assert "Are you sure" in page
    assert operator.post(page_url(training, "delete"), {"post": "yes"}).status_code == 302
    assert not Training.objects.exists()
    assert GlobalModel.objects.filter(pk=training.model_id).exists()
    assert sent_to(anna) == [NotificationType.CLIENT_REMOVED]


def test_the_deletion_of_several_tells_the_participants_of_each(operator: Client, actor: User, anna: User) -> None:
    running, resting = make_running(actor, anna), make_training(actor, anna)
    TrainingEvent.objects.create(training=running, kind=EventKind.STARTED, round=0)
    response = operator.post(
        list_url(Training), {"action": "delete_selected", "_selected_action": [str(running.pk), str(resting.pk)]}
    )
    assert dict(response.context["model_count"]) == {"trainings": 2, "training events": 1}
    messages = act(operator, Training, "delete_selected", running, resting, post="yes")
    assert messages == ["Successfully deleted 2 trainings."]
    assert not Training.objects.exists()
    assert sent_to(anna) == [NotificationType.CLIENT_REMOVED]


def test_staff_may_delete_trainings_without_a_permission_on_their_history(actor: User) -> None:
    training = make_training(actor)
    TrainingEvent.objects.create(training=training, kind=EventKind.STARTED, round=0)
    client = client_of(staff_with("view_training", "delete_training"))
    assert client.post(page_url(training, "delete"), {"post": "yes"}).status_code == 302
    assert not Training.objects.exists()


def test_trainings_are_not_created_here(operator: Client) -> None:
    assert operator.get("/admin/fl_server_core/training/add/").status_code == 403
