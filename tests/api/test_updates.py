from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from fl_server_core.models import GlobalModel, LocalModel, Metric, Training
from fl_server_core.services.files import digest_of
from fl_server_core.services.trainings import start_training
from tests.api.conftest import People
from tests.builders.clients import client_of
from tests.builders.files import linear, pickled_linear, saved, saved_vector, scripted_linear, uploaded
from tests.builders.rounds import submissions, update_in
from tests.builders.rows import make_training, make_user
from tests.builders.storage import stored_files

UNKNOWN = "6f0c2f63-6e1d-4c19-8f21-6a3f1f0a9c02"
ACCEPTED = {"detail": "Model Update Accepted"}


def send(client: Any, model_id: object, **fields: Any) -> Any:
    values = {"round": "0", "sample_size": "10", "model_file": uploaded(scripted_linear(2.0)), **fields}
    return client.post(f"/api/models/{model_id}/", {key: value for key, value in values.items() if value is not None})


def test_a_participants_update_is_kept_with_its_metrics(people: People, running: Training) -> None:
    answer = send(
        people.participant.client,
        running.model_id,
        owner="whoever",
        metric_names=["loss", "note"],
        metric_values=["0.25", "text"],
    )
    assert (answer.status_code, answer.json()) == (201, ACCEPTED)
    update = LocalModel.objects.get()
    assert (update.owner, update.base_model_id, update.round, update.sample_size) == (
        people.participant.user,
        running.model_id,
        0,
        10,
    )
    assert update.weights == scripted_linear(2.0)
    metrics = [(metric.key, metric.value, metric.step) for metric in Metric.objects.filter(model=update)]
    assert metrics == [("loss", 0.25, 0), ("note", b"text", 0)]
    assert [update_in(submission) for submission in submissions()] == [update]


def test_an_update_may_be_pickled_or_a_bare_state_dict_or_safetensors(people: People, running: Training) -> None:
    import safetensors.torch

    contents = (
        pickled_linear(3.0),
        saved(linear(4.0).state_dict()),
        safetensors.torch.save(linear(5.0).state_dict(), {"a": "b"}),
    )
    for value, content in enumerate(contents, start=3):
        answer = send(people.participant.client, running.model_id, model_file=uploaded(content))
        assert (answer.status_code, answer.json()) == (201, ACCEPTED)
        assert LocalModel.objects.get().weights == scripted_linear(value)  # the model's file, whatever the update's


def test_a_repeat_replaces_the_earlier_update(people: People, running: Training) -> None:
    first = send(people.participant.client, running.model_id, metric_names=["a"], metric_values=["1"])
    second = send(people.participant.client, running.model_id, model_file=uploaded(scripted_linear(5.0)))
    assert (first.status_code, second.status_code) == (201, 201)
    assert LocalModel.objects.get().weights == scripted_linear(5.0)
    assert (len(submissions()), Metric.objects.count()) == (1, 0)


def test_metrics_of_different_lengths_are_ignored(people: People, running: Training) -> None:
    answer = send(people.participant.client, running.model_id, metric_names=["a", "b"], metric_values=["1"])
    assert (answer.status_code, LocalModel.objects.count(), Metric.objects.count()) == (201, 1, 0)


@pytest.mark.parametrize("fields", [{"metric_names": ["a"]}, {"metric_values": ["1"]}])
def test_names_without_values_are_refused_as_the_reverse_is(
    people: People, running: Training, fields: dict[str, list[str]]
) -> None:
    answer = send(people.participant.client, running.model_id, **fields)
    assert (answer.status_code, answer.json()) == (400, {"detail": "Metric names or values are missing"})
    assert not LocalModel.objects.exists()


def test_a_metric_that_cannot_be_kept_refuses_the_update_as_a_whole(people: People, running: Training) -> None:
    before = stored_files()
    answer = send(people.participant.client, running.model_id, metric_names=["x" * 33], metric_values=["1"])
    assert (answer.status_code, list(answer.json())) == (400, ["metric_names"])
    assert (LocalModel.objects.count(), len(submissions()), stored_files()) == (0, 0, before)


def test_the_checks_come_in_the_order_of_the_contract(people: People, model: GlobalModel, training: Training) -> None:
    """Each request has all later faults too; what is refused first is the first fault."""
    outsider, participant = people.outsider.client, people.participant.client
    garbage = uploaded(b"garbage")
    faults: list[tuple[Any, int, Any]] = [
        (send(outsider, UNKNOWN, round=None, model_file=None), 400, {"round": ["This field is required."]}),
        (send(outsider, UNKNOWN, sample_size=None, model_file=None), 400, {"sample_size": ["This field is required."]}),
        (send(outsider, UNKNOWN, model_file=None), 400, {"detail": "No uploaded file 'model_file' found."}),
        (send(outsider, UNKNOWN, model_file=garbage), 400, {"detail": f"GlobalModel {UNKNOWN} not found."}),
        (
            send(outsider, training.model_id, model_file=garbage, round=5),
            403,
            {"detail": f"You are not a participant of training {training.pk}!"},
        ),
        (
            send(participant, training.model_id, model_file=garbage, round=5),
            400,
            [f"Training with ID {training.pk} is in state I"],
        ),
    ]
    start_training(training_id=training.pk, user=people.actor.user)
    faults.append(
        (
            send(participant, training.model_id, model_file=garbage, round=5),
            400,
            [f"Training with ID {training.pk} is not currently in round 5"],
        )
    )
    assert [(answer.status_code, answer.json()) for answer, _, _ in faults] == [
        (status, body) for _, status, body in faults
    ]
    last = send(participant, training.model_id, model_file=garbage)
    assert (last.status_code, last.json()[0][:20]) == (400, "Invalid model file: ")


def test_a_model_without_a_training_takes_no_updates(people: People, model: GlobalModel) -> None:
    answer = send(people.actor.client, model.pk)
    sentence = f"Model with ID {model.pk} does not have a training process running"
    assert (answer.status_code, answer.json()) == (404, {"detail": sentence})


@pytest.mark.parametrize(
    "fields",
    [
        {"round": "first"},
        {"round": "-1"},
        {"round": str(2**31)},
        {"sample_size": "many"},
        {"sample_size": "0"},
        {"sample_size": "-3"},
        {"sample_size": str(2**63)},
        {"sample_size": "1" * 4000},
        {"model_file": uploaded(b"")},
        {"model_file": uploaded(saved_vector(1.0))},
        {"model_file": uploaded(scripted_linear()[:-100])},
        {"model_file": uploaded(scripted_linear(float("nan")))},
        {"model_file": uploaded(scripted_linear(float("inf")))},
    ],
)
def test_an_update_that_would_break_the_mean_is_refused_and_nothing_stays(
    people: People, running: Training, fields: dict[str, Any]
) -> None:
    before = stored_files()
    answer = send(people.participant.client, running.model_id, **fields)
    assert answer.status_code == 400
    assert (LocalModel.objects.count(), len(submissions()), stored_files()) == (0, 0, before)


def test_an_update_of_another_architecture_is_refused_by_the_tensors_name(people: People, running: Training) -> None:
    import torch

    other = saved(torch.nn.Sequential(torch.nn.Linear(4, 2)))
    answer = send(people.participant.client, running.model_id, model_file=uploaded(other))
    assert answer.status_code == 400
    assert "0.weight" in answer.json()[0]


def test_actor_and_nobody_send_no_updates(people: People, running: Training) -> None:
    assert send(people.actor.client, running.model_id).status_code == 403
    assert send(people.nobody, running.model_id).status_code == 401
    assert not LocalModel.objects.exists()


def test_an_upload_that_is_refused_for_who_sends_it_or_when_is_not_hashed(
    people: People, running: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hashing reads the whole file: a stranger could keep the server busy with that."""
    hashed: list[Any] = []

    def count(*files: Any) -> str:
        hashed.append(files)
        return digest_of(*files)

    monkeypatch.setattr("fl_server_core.rounds.kinds.digest_of", count)
    for client in (people.outsider.client, people.actor.client, people.nobody):
        assert send(client, running.model_id).status_code in (401, 403)
    assert send(people.outsider.client, UNKNOWN).status_code == 400
    assert send(people.participant.client, running.model_id, round=5).status_code == 400
    assert send(people.participant.client, running.model_id, model_file=uploaded(b"garbage")).status_code == 400
    assert hashed == []
    assert send(people.participant.client, running.model_id).status_code == 201
    assert len(hashed) == 1


def test_an_upload_takes_the_same_statements_among_thirty_participants_as_among_three(people: People) -> None:
    counts = []
    for number in (3, 30):
        participants = [make_user() for _ in range(number)]
        training = make_training(people.actor.user, participants)
        start_training(training_id=training.pk, user=people.actor.user)
        with CaptureQueriesContext(connection) as statements:
            assert send(client_of(participants[0]), training.model_id).status_code == 201
        counts.append(len(statements))
    assert counts[0] == counts[1]
