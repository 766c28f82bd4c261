"""What a participant offers is checked in one order, and written only if the round still takes it."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import uuid4

import pytest

from fl_server_core.exceptions import (
    EntityNotFound,
    InvalidFile,
    InvalidValue,
    MissingPart,
    NotAllowed,
    NoTraining,
    WrongRound,
    WrongState,
)
from fl_server_core.models import LocalModel, NotificationType, Round, Submission, Training, User
from fl_server_core.registry import round_kinds
from fl_server_core.rounds.claims import Claim
from fl_server_core.rounds.kinds import RoundKind
from fl_server_core.rounds.submitting import submit_to_kind
from fl_server_core.services.files import NewFiles
from fl_server_core.services.trainings import stop_training
from tests.builders.files import pickled_linear, saved_vector, uploaded
from tests.builders.rounds import submissions
from tests.builders.rows import make_model, make_running, make_training, make_user
from tests.builders.storage import content_of, file_name_of, stored_files
from tests.builders.world import World

pytestmark = pytest.mark.django_db


def test_refusals_come_in_one_order() -> None:
    """Each offer has all the faults that come after the one it is refused for."""
    world = World(1)
    other = make_model(world.actor)
    bad: dict[str, Any] = {"number": 3, "size": 0, "files": {"model": uploaded(b"text")}}
    outsider = {**bad, "participant": make_user("outsider")}
    with pytest.raises(EntityNotFound, match="GlobalModel"):
        world.update(0, 1.0, **{**outsider, "target_id": uuid4()})
    with pytest.raises(NoTraining):
        world.update(0, 1.0, **{**outsider, "target_id": other.pk})
    with pytest.raises(NotAllowed, match="You are not a participant"):
        world.update(0, 1.0, **outsider)
    with pytest.raises(WrongState, match="is in state I"):
        world.update(0, 1.0, **bad)
    world.start()
    with pytest.raises(WrongRound, match="is not currently in round 3"):
        world.update(0, 1.0, **bad)
    with pytest.raises(InvalidValue, match="sample_size"):
        world.update(0, 1.0, **{**bad, "number": 0})
    with pytest.raises(InvalidFile):
        world.update(0, 1.0, **{**bad, "number": 0, "size": 1})
    assert submissions() == []


def test_what_is_refused_leaves_no_file() -> None:
    world = World(1).start()
    before = stored_files()
    for content in (b"text", saved_vector(1.0)):
        with pytest.raises(InvalidFile):
            world.update(0, 1.0, files={"model": uploaded(content)})
    assert stored_files() == before


@pytest.mark.django_db(transaction=True)
def test_a_repeat_replaces_the_update_with_its_file_and_metrics() -> None:
    world = World(2).start()
    world.update(0, 1.0, metrics=[("loss", "1")])
    first = LocalModel.objects.get()
    world.update(0, 2.0, size=9, metrics=[("loss", "2"), ("loss", "3")])
    update = LocalModel.objects.get()
    assert (update.sample_size, update.weights) == (9, pickled_linear(2.0))
    assert [metric.value for metric in update.metrics.all()] == [2.0, 3.0]
    assert file_name_of(first) not in stored_files()
    (submission,) = submissions()
    assert (submission.sample_size, submission.local_model) == (9, update)


def while_it_is_stored(monkeypatch: pytest.MonkeyPatch, action: Any) -> None:
    """Do this between the first look at the round and the one under the lock."""
    store = NewFiles.store

    def store_after(files: NewFiles, file: Any) -> str:
        monkeypatch.setattr(NewFiles, "store", store)
        action()
        return store(files, file)

    monkeypatch.setattr(NewFiles, "store", store_after)


def test_a_round_that_is_claimed_while_an_update_is_stored_takes_it_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(1).start()
    while_it_is_stored(monkeypatch, world.claim_full_round)
    with pytest.raises(WrongRound):
        world.update(0, 7.0)
    (update,) = LocalModel.objects.all()
    assert update.weights == pickled_linear(1.0)
    assert stored_files() >= {file_name_of(update), file_name_of(world.model)}


def test_a_retry_that_overtakes_its_own_request_is_stored_once(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(1).start()
    before = stored_files()
    while_it_is_stored(monkeypatch, world.claim_full_round)
    world.update(0, 1.0)  # the very bytes that count already
    assert stored_files() - before == {file_name_of(LocalModel.objects.get())}


def test_a_training_that_is_stopped_while_an_update_is_stored_takes_it_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(1).start()
    before = stored_files()
    while_it_is_stored(monkeypatch, lambda: stop_training(training_id=world.training.pk, user=world.actor))
    with pytest.raises(WrongState, match="state E"):
        world.update(0, 7.0)
    assert stored_files() == before


def test_the_first_update_of_a_training_put_into_a_running_state_by_hand_opens_its_round() -> None:
    world = World(2)
    Training.objects.update(state="O")
    world.update(0, 1.0)
    assert world.state == ("O", "update")
    assert len(world.sent("UPDATE_ROUND_START")) == 2
    assert [submission.participant for submission in submissions(world.training)] == [world.people[0]]


def test_of_a_passed_on_model_that_is_gone_only_bytes_that_count_are_known() -> None:
    world = World(2, aggregation_method="FedDC", options={"daisy_chain_period": 2}).start()
    for who in range(2):
        world.update(who, float(who))
    world.advance()
    given = world.given(world.people[0])
    world.update(0, 5.0)
    LocalModel.objects.filter(pk=given).delete()
    again: dict[str, Any] = {"who": 0, "value": 5.0, "target_id": given, "number": 1}
    with pytest.raises(EntityNotFound, match="GlobalModel"):  # the round is not over either: no word of another one
        world.update(**again)
    Submission.objects.update(counted=True)
    world.update(**again)


def test_who_was_given_a_model_in_a_round_that_is_over_hears_which_round_it_is() -> None:
    world = World(2, aggregation_method="FedDC", options={"daisy_chain_period": 3}).start()
    for _round in range(2):
        given = world.given(world.people[0])
        for who in range(2):
            world.update(who, float(who))
        world.advance()
    LocalModel.objects.filter(pk=given).delete()
    with pytest.raises(WrongRound, match="is not currently in round 1"):
        world.update(0, 7.0, target_id=given, number=1)


def test_a_submission_is_a_change_of_the_training() -> None:
    world = World(2).start()
    before = world.now.last_update
    world.update(0, 1.0)
    assert world.now.last_update > before


class Survey(RoundKind[None]):
    name: ClassVar[str] = "survey"
    title: ClassVar[str] = "survey"
    notification: ClassVar[str] = NotificationType.MODEL_TEST_ROUND

    def wants(self, training: Training, number: int) -> bool:
        return False

    def compute(self, claim: Claim, files: NewFiles) -> None: ...

    def apply(self, claim: Claim, training: Training, result: None) -> None: ...


@pytest.fixture
def surveyed(anna: User, monkeypatch: pytest.MonkeyPatch) -> Training:
    """A training in a round of a kind that another package has added."""
    monkeypatch.setitem(round_kinds, "survey", Survey)
    return make_running(make_user("actor"), [anna], kind="survey")


def test_a_kind_of_another_package_takes_json_and_files(surveyed: Training, anna: User) -> None:
    for answer in ("no", "yes"):
        submit_to_kind(
            training_id=surveyed.pk,
            kind="survey",
            participant=anna,
            number=0,
            content={"answer": answer},
            files={"picture": uploaded(answer.encode())},
        )
    (submission,) = submissions(surveyed)
    assert (submission.content, submission.target) == ({"answer": "yes"}, surveyed.model_id)
    (file,) = submission.files.all()
    assert (file.name, content_of(str(file.file.name))) == ("picture", b"yes")


def test_a_claimed_round_of_another_package_takes_the_same_content_and_no_other(surveyed: Training, anna: User) -> None:
    values: dict[str, Any] = {"training_id": surveyed.pk, "kind": "survey", "participant": anna, "number": 0}
    submit_to_kind(**values, content=[1])
    Round.objects.update(claim=uuid4())
    surveyed.rounds.get().submissions.update(counted=True)
    submit_to_kind(**values, content=[1])
    with pytest.raises(WrongRound):
        submit_to_kind(**values, content=[2])


@pytest.mark.parametrize("kind", ["update", "swag", "test", "gone"])
def test_kinds_with_paths_of_their_own_and_unknown_ones_are_not_there(
    surveyed: Training, anna: User, kind: str
) -> None:
    with pytest.raises(MissingPart, match=kind):
        submit_to_kind(training_id=surveyed.pk, kind=kind, participant=anna, number=0)


def test_outsiders_hear_nothing_of_the_kinds(surveyed: Training) -> None:
    for user in (make_user("outsider"), surveyed.actor):
        with pytest.raises(NotAllowed, match="You are not a participant"):
            submit_to_kind(training_id=surveyed.pk, kind="gone", participant=user, number=0)
    with pytest.raises(EntityNotFound):
        submit_to_kind(training_id=uuid4(), kind="survey", participant=surveyed.actor, number=0)


def test_a_kind_s_round_that_is_not_open_takes_nothing(anna: User, surveyed: Training) -> None:
    waiting = make_training(make_user(), [anna])
    with pytest.raises(WrongState, match="state I"):
        submit_to_kind(training_id=waiting.pk, kind="survey", participant=anna, number=0)
    with pytest.raises(WrongRound):
        submit_to_kind(training_id=surveyed.pk, kind="survey", participant=anna, number=1)
