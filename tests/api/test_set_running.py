"""Trainings that a script put into a running state, past the services: they take updates and close their rounds."""

from __future__ import annotations

from typing import Any

import pytest

from fl_server_ai.trainer.tasks import close_round, process_trainer_task, sweep
from fl_server_core.models import GlobalModel, Training
from tests.api.conftest import People, Person
from tests.api.versions import close_a_round, world_of
from tests.builders.deliveries import sent_to
from tests.builders.files import scripted_linear, uploaded
from tests.builders.rounds import phase_of, submissions


@pytest.fixture
def sweeping(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The sweep, and at once what it puts into the queue."""

    def at_once(task: Any) -> None:
        monkeypatch.setattr(task, "apply_async", lambda arguments, **_options: task(*arguments))

    at_once(process_trainer_task)
    at_once(close_round)
    return sweep


@pytest.fixture
def set_running(training: Training) -> Training:
    training.state = "O"
    training.save()
    return training


def send(person: Person, training: Training, round: int, value: float) -> Any:
    form = {"round": round, "sample_size": 1, "model_file": uploaded(scripted_linear(value))}
    return person.client.post(f"/api/models/{training.model_id}/", form)


def state_of(training: Training) -> tuple[str, str, int]:
    training = Training.objects.get(pk=training.pk)
    return training.state, phase_of(training), GlobalModel.objects.get(pk=training.model_id).round


def test_it_takes_updates_and_its_rounds_close_up_to_the_end(
    people: People, set_running: Training, sweeping: Any
) -> None:
    for number in (0, 1):
        answer = send(people.participant, set_running, number, float(number + 2))
        assert (answer.status_code, answer.json()) == (201, {"detail": "Model Update Accepted"})
        sweeping()
        assert state_of(set_running) == ("O", "test", number + 1)
        form = {"metric_names": ["accuracy"], "metric_values": ["0.5"]}
        assert people.participant.client.post(f"/api/models/{set_running.model_id}/metrics/", form).status_code == 201
        sweeping()
    assert state_of(set_running) == ("C", "idle", 2)
    assert GlobalModel.objects.get(pk=set_running.model_id).weights == scripted_linear(3.0)


def test_the_sweep_opens_its_first_round_and_tells_its_participants_once(
    people: People, set_running: Training, sweeping: Any
) -> None:
    for _time in range(3):
        sweeping()
    assert state_of(set_running) == ("O", "update", 0)
    assert sent_to(people.participant.user) == ["UPDATE_ROUND_START"]
    assert send(people.participant, set_running, 1, 2.0).json() == [
        f"Training with ID {set_running.pk} is not currently in round 1"
    ]
    assert send(people.outsider, set_running, 0, 2.0).status_code == 403


def test_a_stopped_one_asks_for_the_round_that_was_given_up_anew(people: People, sweeping: Any) -> None:
    """What was sent to that round before it was stopped does not count: the model may be another by now."""
    world = world_of(people, 2, target_num_updates=2)
    close_a_round(world, 1.0)
    world.update(0, 9.0)
    assert people.actor.client.post(f"/api/trainings/{world.training.pk}/stop/").status_code == 202
    Training.objects.filter(pk=world.training.pk).update(state="O")
    told = len(world.sent("UPDATE_ROUND_START"))
    for _time in range(2):
        sweeping()
    assert (state_of(world.training), len(world.sent("UPDATE_ROUND_START"))) == (("O", "update", 1), told + 2)
    assert [row.round.number for row in submissions(world.training)] == [0, 0]
    for who in range(2):
        world.update(who, 5.0)
    sweeping()
    assert (world.state[0], world.weight) == ("C", 5.0)
