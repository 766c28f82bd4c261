"""Which round follows which, and what opening one does."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar

import pytest
from django.utils import timezone

from fl_server_core.models import EventKind, NotificationType, Round, Training, User
from fl_server_core.models.round import RoundOutcome
from fl_server_core.registry import round_kinds
from fl_server_core.rounds.claims import Claim
from fl_server_core.rounds.ending import mark_closed
from fl_server_core.rounds.kinds import RoundKind, kind_of
from fl_server_core.rounds.opening import ensure_open, open_first, open_next, open_round, prepare_next
from fl_server_core.selectors.rounds import current_round, open_round_of
from fl_server_core.services.files import NewFiles
from fl_server_core.services.trainings import edit_training
from tests.builders.deliveries import rounds_told_to
from tests.builders.rounds import events_of, mark_claimed, set_claim_attempts
from tests.builders.rows import make_model, make_round, make_running, make_swag_model, make_training, make_user

pytestmark = pytest.mark.django_db

MAKING_A_VERSION = ("update", "passing_on")


def started(people: list[User], **fields: Any) -> Training:
    """A training in its first round; `first_round` where its model is in a later one already."""
    actor = make_user("actor")
    is_swag = fields.get("uncertainty_method") == "SWAG"
    number = fields.get("first_round", 0)
    model = make_swag_model(actor, round=number) if is_swag else make_model(actor, round=number)
    training = make_training(actor, people, model, **{"first_round": number, **fields})
    open_first(training, number)
    return training


def walk(training: Training) -> list[tuple[str, int, str]]:
    """Close round after round, until the training ends. Returns: kind, number and the training's state of each."""
    seen = []
    while (row := open_round_of(training)) is not None:
        seen.append((row.kind, row.number, str(training.state)))
        if row.kind in MAKING_A_VERSION:
            training.model.round += 1
            training.model.save()
        mark_closed(row)
        open_next(training, row)
        assert len(seen) < 20
    return seen


CASES: dict[str, tuple[dict[str, Any], list[tuple[str, int, str]]]] = {
    "FedAvg": (
        {},
        [("update", 0, "O"), ("test", 1, "O"), ("update", 1, "O"), ("test", 2, "O")],
    ),
    "FedAvg of a trained model": (
        {"first_round": 7, "target_num_updates": 1},
        [("update", 7, "O"), ("test", 8, "O")],
    ),
    "without tests": (
        {"options": {"skip_model_tests": True}},
        [("update", 0, "O"), ("update", 1, "O")],
    ),
    "a test at the end": (
        {"options": {"model_test_after_each_round": False}},
        [("update", 0, "O"), ("update", 1, "O"), ("test", 2, "O")],
    ),
    "SWAG": (
        {"uncertainty_method": "SWAG", "target_num_updates": 1},
        [("update", 0, "O"), ("swag", 1, "S"), ("test", 1, "O")],
    ),
    "SWAG without tests": (
        {"uncertainty_method": "SWAG", "options": {"skip_model_tests": True}},
        [("update", 0, "O"), ("swag", 1, "S"), ("update", 1, "O"), ("swag", 2, "S")],
    ),
    "FedDC": (  # on creation the target is multiplied by the period
        {"aggregation_method": "FedDC", "options": {"daisy_chain_period": 2}},
        [("passing_on", 0, "O"), ("update", 1, "O"), ("passing_on", 2, "O"), ("update", 3, "O"), ("test", 4, "O")],
    ),
    "FedDC with SWAG": (
        {"uncertainty_method": "SWAG", "target_num_updates": 1, "options": {"daisy_chain_period": 3}},
        [("passing_on", 0, "O"), ("passing_on", 1, "O"), ("update", 2, "O"), ("swag", 3, "S"), ("test", 3, "O")],
    ),
    "FedDC of a trained model without tests": (
        {
            "first_round": 1,
            "target_num_updates": 1,
            "options": {"daisy_chain_period": 2, "skip_model_tests": True},
        },
        [("passing_on", 1, "O"), ("update", 2, "O")],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_rounds_of_a_training_follow_each_other_to_its_target(case: str, people: list[User]) -> None:
    fields, expected = CASES[case]
    training = started(people, **fields)
    assert walk(training) == expected
    training.refresh_from_db()
    assert training.state == "C"
    assert [event.kind for event in events_of(training)] == [EventKind.FINISHED]


class Asked(RoundKind[None]):
    """A kind that follows the update round, in every cycle."""

    name: ClassVar[str] = "asked"
    title: ClassVar[str] = "asked"
    notification: ClassVar[str] = NotificationType.MODEL_TEST_ROUND
    after: ClassVar[str] = "update"

    def wants(self, training: Training, number: int) -> bool:
        return True

    def compute(self, claim: Claim, files: NewFiles) -> None: ...

    def apply(self, claim: Claim, training: Training, result: None) -> None: ...


class Once(Asked):
    """In the first cycle only."""

    name: ClassVar[str] = "once"

    def wants(self, training: Training, number: int) -> bool:
        return number == 1


class AfterOnce(Asked):
    name: ClassVar[str] = "after_once"
    after: ClassVar[str] = "once"


def test_what_follows_a_kind_follows_it_in_its_own_cycle_only(
    people: list[User], monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind in (Once, Asked, AfterOnce):
        monkeypatch.setitem(round_kinds, kind.name, kind)
    training = started(people, options={"skip_model_tests": True})
    assert [(kind, number) for kind, number, _state in walk(training)] == [
        ("update", 0),
        ("once", 1),
        ("asked", 1),
        ("after_once", 1),
        ("update", 1),
        ("asked", 2),
    ]


def test_opening_starts_the_clock_and_tells_every_participant(people: list[User]) -> None:
    before = timezone.now()
    training = started(people, options={"round_deadline": 60})
    row = open_round_of(training)
    assert row is not None
    assert row.opened_at is not None
    assert row.opened_at >= before
    assert row.deadline == row.opened_at + timedelta(seconds=60)
    assert [rounds_told_to(person) for person in people] == [[("UPDATE_ROUND_START", 0)]] * 2


def test_without_a_deadline_no_clock_runs(people: list[User]) -> None:
    row = open_round_of(started(people))
    assert row is not None
    assert row.deadline is None


def test_opening_again_clears_the_claim_and_tells_those_named_only(people: list[User]) -> None:
    training = started(people)
    mark_claimed(training, lease_in=60)
    set_claim_attempts(training, 3)
    row = open_round(training, kind_of("update"), 0, receivers=[people[1].pk])
    row.refresh_from_db()
    assert (row.claim, row.lease_until, row.attempts) == (None, None, 0)
    assert not Training.objects.get().locked
    assert [len(rounds_told_to(person)) for person in people] == [1, 2]
    assert Round.objects.filter(training=training, kind="update", number=0).count() == 1


def test_a_round_that_is_opened_again_is_not_over(people: list[User]) -> None:
    training = started(people)
    mark_closed(make_round(training), RoundOutcome.ABANDONED)
    row = open_round(training, kind_of("update"), 0)
    row.refresh_from_db()
    assert (row.closed_at, row.outcome, row.is_open) == (None, "", True)


def unopened(training: Training) -> list[tuple[str, int]]:
    return list(training.rounds.filter(opened_at=None).values_list("kind", "number"))


def test_the_next_round_takes_updates_during_the_test_and_not_before(people: list[User]) -> None:
    training = started(people)
    assert unopened(training) == []
    training.model.round = 1
    training.model.save()
    mark_closed(make_round(training))
    open_next(training, make_round(training))
    assert unopened(training) == [("update", 1)]


def test_no_round_is_prepared_during_the_last_test(people: list[User]) -> None:
    training = started(people, target_num_updates=1)
    row = make_round(training, "test", 1, opened_at=timezone.now(), closed_at=timezone.now())
    prepare_next(training, row)
    assert unopened(training) == []
    training.target_num_updates = 2
    prepare_next(training, row)
    prepare_next(training, row)
    assert unopened(training) == [("update", 1)]


def test_a_higher_target_during_the_last_test_makes_another_round(people: list[User]) -> None:
    training = started(people, target_num_updates=1)
    training.model.round = 1
    training.model.save()
    mark_closed(make_round(training))
    open_next(training, make_round(training))
    assert unopened(training) == []
    edit_training(training_id=training.pk, user=training.actor, values={"target_num_updates": 2})
    assert unopened(training) == [("update", 1)]
    training.refresh_from_db()
    assert walk(training) == [("test", 1, "O"), ("update", 1, "O"), ("test", 2, "O")]


def test_a_training_put_into_a_running_state_by_hand_gets_its_first_round(people: list[User]) -> None:
    model = make_model(make_user(), round=3)
    training = make_training(model.owner, people, model, state="O")
    row = ensure_open(training)
    assert row is not None
    assert (row.kind, row.number, Training.objects.get().first_round) == ("update", 3, 3)
    assert ensure_open(training) == row
    assert len(rounds_told_to(people[0])) == 1


def test_one_that_does_not_run_gets_none(people: list[User]) -> None:
    training = make_training(make_user(), people)
    assert ensure_open(training) is None
    assert current_round(training) == 0
    running = make_running(make_user(), people)
    assert ensure_open(running) == open_round_of(running)
