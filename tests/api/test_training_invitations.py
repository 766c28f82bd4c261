"""Invitations over HTTP: every step in every state of a training, by everyone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fl_server_core.models import GlobalModel, Training
from fl_server_core.services.trainings import start_training
from tests.api.conftest import People
from tests.builders.deliveries import rounds_told_to
from tests.builders.rounds import mark_claimed, mark_completed, mark_failed
from tests.builders.rows import make_event, make_training

pytestmark = pytest.mark.usefixtures("consent")

UNKNOWN = "6f0c2f63-6e1d-4c19-8f21-6a3f1f0a9c02"
STEPS = {"accept": "Invitation accepted!", "decline": "Invitation declined!", "leave": "Training left!"}
STATES = ("initial", "running", "claimed", "failed", "stopped", "completed")


def post(client: Any, training: Training, step: str, body: Any = None) -> Any:
    return client.post(f"/api/trainings/{training.pk}/{step}/", {} if body is None else body, format="json")


def invite(people: People, training: Training, *ids: str, method: str = "put") -> Any:
    path = f"/api/trainings/{training.pk}/clients/"
    return getattr(people.actor.client, method)(path, {"clients": list(ids)}, format="json")


def bring_to(training: Training, state: str) -> None:
    """The training in this state, its participant already in it."""
    if state != "initial":
        start_training(training_id=training.pk, user=training.actor)
    match state:
        case "claimed":
            mark_claimed(training, lease_in=60)
        case "failed":
            make_event(training, "failed")
            mark_failed(training)
        case "stopped":
            mark_completed(training)
            mark_failed(training)
        case "completed":
            mark_completed(training)


def forbidden(sentence: str, training: Training) -> tuple[int, dict[str, str]]:
    return 403, {"detail": f"{sentence} training {training.pk}!"}


def test_putting_clients_invites_them_and_says_so(people: People, training: Training) -> None:
    answer = invite(people, training, people.outsider.id, people.participant.id)
    assert (answer.status_code, answer.json()) == (202, {"detail": "Users invited to the training!"})
    assert list(training.participants.all()) == [people.participant.user]
    again = invite(people, training, people.participant.id)
    assert again.json() == {"detail": "Users registered as participants!"}  # nobody had to be asked


def test_the_clients_of_a_new_training_are_invited(people: People, model: GlobalModel) -> None:
    body = {
        "model_id": str(model.pk),
        "target_num_updates": 1,
        "metric_names": [],
        "aggregation_method": "FedAvg",
        "clients": [people.outsider.id, people.actor.id],
    }
    answer = people.actor.client.post("/api/trainings/", body, format="json")
    assert answer.status_code == 201
    shown = people.actor.client.get(f"/api/trainings/{answer.json()['training_id']}/").json()
    assert shown["participants"] == [people.actor.id]  # who creates it has agreed
    (row,) = people.outsider.client.get("/api/users/invitations/").json()
    assert row.pop("created_at")
    assert row == {
        "training": answer.json()["training_id"],
        "actor": people.actor.id,
        "global_model_uuid": str(model.pk),
        "invited_by": people.actor.id,
    }


def test_an_invitation_can_be_fetched_and_its_acknowledgement_has_no_consequence(
    people: People, training: Training
) -> None:
    invite(people, training, people.outsider.id)
    (told,) = people.outsider.client.get("/api/notifications/").json()
    assert (told["notification_type"], told["training_uuid"]) == ("TRAINING_INVITATION", str(training.pk))
    assert told["body"] == {"actor": people.actor.id, "global_model_uuid": str(training.model_id)}
    refused = people.outsider.client.post(f"/api/notifications/{told['id']}/ack/", {"accept": False}, format="json")
    assert refused.status_code == 200
    assert people.outsider.client.get("/api/notifications/").json() == []
    assert post(people.outsider.client, training, "accept").status_code == 200


def test_an_answered_invitation_is_not_fetched_any_more_and_can_still_be_acknowledged(
    people: People, training: Training
) -> None:
    invite(people, training, people.outsider.id)
    (told,) = people.outsider.client.get("/api/notifications/").json()
    post(people.outsider.client, training, "accept")
    assert people.outsider.client.get("/api/notifications/").json() == []
    late = people.outsider.client.post(f"/api/notifications/{told['id']}/ack/", {"accept": True}, format="json")
    assert late.status_code == 200


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("step", STEPS)
def test_each_step_of_one_who_is_invited_in_each_state(
    people: People, training: Training, step: str, state: str
) -> None:
    bring_to(training, "initial" if state == "initial" else "running")
    invite(people, training, people.outsider.id)
    Training.objects.filter(pk=training.pk).update(state="I")
    training.rounds.all().delete()
    bring_to(training, state)
    before = len(rounds_told_to(people.outsider.user))
    answer = post(people.outsider.client, training, step)
    got = answer.status_code, answer.json()
    is_over = state in ("stopped", "completed")
    if step == "leave":
        assert got == forbidden("You are not a participant of", training)
    elif step == "accept" and is_over:
        assert got == (400, {"detail": f"Training {training.pk} has ended."})
    else:
        assert got == (200, {"detail": STEPS[step]})
    joined = step == "accept" and not is_over
    assert training.participants.filter(pk=people.outsider.user.pk).exists() == joined
    told = {"running": ["TRAINING_START", "UPDATE_ROUND_START"], "claimed": ["TRAINING_START"]}.get(state, [])
    assert [kind for kind, _round in rounds_told_to(people.outsider.user)[before:]] == (told if joined else [])
    is_open = got[0] != 200
    assert people.outsider.user.training_invitations.filter(state="open").exists() == is_open


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("step", STEPS)
def test_each_step_of_a_participant_in_each_state(people: People, training: Training, step: str, state: str) -> None:
    bring_to(training, state)
    before = len(rounds_told_to(people.participant.user))
    answer = post(people.participant.client, training, step)
    got = answer.status_code, answer.json()
    if step == "decline":
        assert got == forbidden("You are not invited to", training)
    else:
        assert got == (200, {"detail": STEPS[step]})
    is_gone = step == "leave"
    assert training.participants.exists() != is_gone
    told = ["CLIENT_REMOVED"] if is_gone and state in ("running", "claimed") else []
    assert [kind for kind, _round in rounds_told_to(people.participant.user)[before:]] == told


def declined(people: People, training: Training) -> None:
    post(people.outsider.client, training, "decline")


def withdrawn(people: People, training: Training) -> None:
    assert invite(people, training, people.outsider.id, method="delete").status_code == 200


def removed(people: People, training: Training) -> None:
    post(people.outsider.client, training, "accept")
    withdrawn(people, training)


def left(people: People, training: Training) -> None:
    post(people.outsider.client, training, "accept")
    post(people.outsider.client, training, "leave")


@pytest.mark.parametrize("state", STATES[:4])
@pytest.mark.parametrize("past", [declined, withdrawn, removed, left])
def test_who_is_out_takes_no_step_until_it_is_invited_again(
    people: People, training: Training, past: Callable[[People, Training], None], state: str
) -> None:
    bring_to(training, state)
    invite(people, training, people.outsider.id)
    past(people, training)
    client = people.outsider.client
    for step in ("accept", "decline"):
        answer = post(client, training, step)
        assert (answer.status_code, answer.json()) == forbidden("You are not invited to", training)
    answer = post(client, training, "leave")
    assert (answer.status_code, answer.json()) == forbidden("You are not a participant of", training)
    assert client.get(f"/api/trainings/{training.pk}/").status_code == 403
    invite(people, training, people.outsider.id)
    assert post(client, training, "accept").status_code == 200
    assert client.get(f"/api/trainings/{training.pk}/").status_code == 200
    assert people.outsider.user.training_invitations.count() == 2


@pytest.mark.parametrize("step", STEPS)
def test_those_who_are_not_invited_take_no_step(people: People, training: Training, step: str) -> None:
    sentence = "You are not a participant of" if step == "leave" else "You are not invited to"
    for person in (people.outsider, people.actor, people.staff):
        answer = post(person.client, training, step)
        assert (answer.status_code, answer.json()) == forbidden(sentence, training)
    assert post(people.nobody, training, step).status_code == 401
    for identifier in (UNKNOWN, "not-an-id"):
        answer = people.outsider.client.post(f"/api/trainings/{identifier}/{step}/")
        assert (answer.status_code, answer.json()) == (400, {"detail": f"Training {identifier} not found."})


@pytest.mark.parametrize("step", STEPS)
def test_a_body_is_empty(people: People, training: Training, step: str) -> None:
    answer = post(people.participant.client, training, step, {"training": "x"})
    assert (answer.status_code, answer.json()) == (400, {"training": ["Unknown field."]})


def test_until_it_has_accepted_a_user_counts_nowhere_and_reads_nothing(people: People) -> None:
    training = make_training(people.actor.user)
    invite(people, training, people.outsider.id)
    start = people.actor.client.post(f"/api/trainings/{training.pk}/start/")
    assert (start.status_code, start.json()) == (400, {"detail": "At least one participant must be registered!"})
    shown = people.actor.client.get(f"/api/trainings/{training.pk}/").json()
    assert (shown["state"], shown["participants"], shown["local_models_expected"]) == ("I", [], 0)
    client = people.outsider.client
    for path in ("", "metadata/", "metrics/", "versions/", "preprocessing/"):
        assert client.get(f"/api/models/{training.model_id}/{path}").status_code == 403
    for path in ("", "status/", "history/"):
        assert client.get(f"/api/trainings/{training.pk}/{path}").status_code == 403
    for path in (f"trainings/{training.pk}/models/", f"trainings/{training.pk}/models/latest/"):
        assert client.get(f"/api/{path}").json() == []
    for path in ("models/", "users/trainings/", "trainings/"):
        assert client.get(f"/api/{path}").json() == []
    post(client, training, "accept")
    assert client.get(f"/api/models/{training.model_id}/metadata/").status_code == 200
    assert people.actor.client.post(f"/api/trainings/{training.pk}/start/").status_code == 202


def test_the_status_shows_who_is_invited(people: People, running: Training) -> None:
    invite(people, running, people.outsider.id)
    (row,) = people.participant.client.get(f"/api/trainings/{running.pk}/status/").json()["invited"]
    assert (row["id"], row["username"]) == (people.outsider.id, "outsider")
    assert row["invited_at"]
    assert (row["notification"]["notification_type"], row["notification"]["status"]) == (
        "TRAINING_INVITATION",
        "pending",
    )
    post(people.outsider.client, running, "accept")
    status = people.actor.client.get(f"/api/trainings/{running.pk}/status/").json()
    assert status["invited"] == []
    assert len(status["participants"]) == 2


def test_the_history_names_the_author_of_each_step(people: People, training: Training) -> None:
    invite(people, training, people.outsider.id)
    post(people.outsider.client, training, "decline")
    invite(people, training, people.outsider.id)
    withdrawn(people, training)
    invite(people, training, people.outsider.id)
    left(people, training)
    rows = people.actor.client.get(f"/api/trainings/{training.pk}/history/").json()
    assert [(row["kind"], row["username"], row["author_name"]) for row in rows] == [
        ("participant_invited", "outsider", "actor"),
        ("participant_declined", "outsider", "outsider"),
        ("participant_invited", "outsider", "actor"),
        ("participant_uninvited", "outsider", "actor"),
        ("participant_invited", "outsider", "actor"),
        ("participant_accepted", "outsider", "outsider"),
        ("participant_left", "outsider", "outsider"),
    ]


@pytest.mark.parametrize("enrolment", ["open", "consent"])
def test_open_enrolment_adds_at_once_and_leaving_is_always_possible(
    people: People, training: Training, settings: Any, enrolment: str
) -> None:
    settings.FL_ENROLMENT = enrolment
    words = {"open": "Users registered as participants!", "consent": "Users invited to the training!"}
    assert invite(people, training, people.outsider.id).json() == {"detail": words[enrolment]}
    assert training.participants.filter(pk=people.outsider.user.pk).exists() == (enrolment == "open")
    assert post(people.participant.client, training, "leave").status_code == 200
