"""Editing a training on its page, and what no edit may break."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from fl_server_api.admin.training_form import TrainingForm
from fl_server_core.models import User
from fl_server_core.models.delivery import NotificationType
from fl_server_core.models.training import TrainingState
from tests.api.admin.pages import edit
from tests.builders.deliveries import sent_to
from tests.builders.rounds import (
    claim_attempts_of,
    is_claimed,
    open_round_as,
    phase_of,
    set_claim_attempts,
    submissions,
)
from tests.builders.rows import make_running, make_submission, make_training

pytestmark = pytest.mark.django_db


def errors_of(response: Any) -> dict[str, list[str]]:
    assert response.status_code == 200
    return dict(response.context["adminform"].form.errors)


def test_options_and_target_are_edited_and_nothing_else_is_written(operator: Client, actor: User, anna: User) -> None:
    training = make_running(actor, [anna])
    changes = {"options": '{"round_deadline": 60, "mu": 1}', "target_num_updates": 9, "metric_names": '["loss"]'}
    forged = {"state": "C", "phase": "idle", "round": "7", "locked": "on", "claim_attempts": "3", "actor": str(anna.pk)}
    assert edit(operator, training, **changes, **forged).status_code == 302
    before = training.last_update
    training.refresh_from_db()
    assert training.options == {"round_deadline": 60, "mu": 1}
    assert (training.target_num_updates, training.metric_names) == (9, ["loss"])
    assert (training.state, phase_of(training), is_claimed(training)) == (TrainingState.ONGOING, "update", False)
    assert (claim_attempts_of(training), training.actor_id) == (0, actor.pk)
    assert training.last_update > before


def test_an_edit_leaves_what_a_worker_changed_meanwhile(
    operator: Client, actor: User, anna: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = make_running(actor, [anna])
    clean = TrainingForm.clean_options

    def clean_while_a_worker_works(form: TrainingForm) -> dict[str, Any]:
        open_round_as(training, "test")
        set_claim_attempts(training, 2)
        return clean(form)

    monkeypatch.setattr(TrainingForm, "clean_options", clean_while_a_worker_works)
    assert edit(operator, training, target_num_updates=9).status_code == 302
    training.refresh_from_db()
    assert (phase_of(training), claim_attempts_of(training), training.target_num_updates) == ("test", 2, 9)


BAD_OPTIONS = (
    ("[]", "Enter a JSON object."),
    ("{", "Enter a valid JSON."),
    ('{"round_deadline": -1}', "round_deadline must be a number above 0"),
    ('{"min_updates": 2}', "min_updates needs a round_deadline"),
    ('{"uncertainty": {"N": 0}}', "uncertainty.N"),
    ('{"daisy_chain_period": 3}', "daisy_chain_period can't be changed"),
    ('{"a": "\\u0000"}', "Null characters are not allowed."),
    ('{"a": "\\ud800"}', "Lone surrogate characters are not allowed."),
    ('{"a": NaN}', "Use finite numbers only."),
    ('{"a": ' + "1" * 5000 + "}", "Enter valid JSON without deep nesting or very long numbers."),
    ('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}", "Enter valid JSON without deep nesting or very long numbers."),
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
        ("metric_names", f'["{"x" * 33}"]'),
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
    training = make_running(actor, [anna])
    assert edit(operator, training, add_participants=[str(ben.pk)]).status_code == 302
    assert set(training.participants.all()) == {anna, ben}
    assert (sent_to(anna), sent_to(ben)) == ([], ["TRAINING_START", "UPDATE_ROUND_START"])


def test_one_who_is_removed_is_told_and_its_submission_dropped(
    operator: Client, actor: User, anna: User, ben: User
) -> None:
    training = make_running(actor, [anna, ben])
    for person in (anna, ben):
        make_submission(training, person)
    assert edit(operator, training, remove_participants=[str(ben.pk)]).status_code == 302
    assert list(training.participants.all()) == [anna]
    assert (sent_to(anna), sent_to(ben)) == ([], [NotificationType.CLIENT_REMOVED])
    assert [submission.participant for submission in submissions()] == [anna]
