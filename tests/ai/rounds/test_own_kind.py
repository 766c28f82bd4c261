"""A kind of round that is defined here alone, and whole trainings with it over HTTP.

Between the round of updates and the test round, the participants are asked for the mean of their labels.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from fl_server_core.exceptions import InvalidValue
from fl_server_core.models import EventKind, GlobalModel, Submission, Training
from fl_server_core.registry import round_kinds
from fl_server_core.rounds.claims import Claim
from fl_server_core.rounds.kinds import CannotClose, Offer, RoundKind
from fl_server_core.services.files import NewFiles
from fl_server_core.services.history import record
from tests.builders.clients import client_of
from tests.builders.deliveries import sent_to
from tests.builders.files import pickled_linear, uploaded
from tests.builders.rounds import claim_round, event_of, events_of, let_the_lease_run_out, phase_of, submissions
from tests.builders.rows import make_user
from tests.builders.storage import stored_files
from tests.builders.world import World

ACCEPTED = {"detail": "Submission Accepted"}
NOT_YET = "Training with ID {} is in a round of kind 'update', not of 'label_mean'."


class LabelMeans(RoundKind[float]):
    name: ClassVar[str] = "label_mean"
    title: ClassVar[str] = "round of label means"
    notification: ClassVar[str] = "LABEL_MEAN_ROUND_START"
    after: ClassVar[str] = "update"

    def wants(self, training: Training, number: int) -> bool:
        return bool(training.options.get("label_means"))

    def check(self, base: GlobalModel, offer: Offer) -> None:
        mean = offer.content.get("mean") if isinstance(offer.content, dict) else None
        if not offer.files and not isinstance(mean, (int, float)):
            raise InvalidValue("Send the mean of your labels as {'mean': number}, or your labels as a file.")

    def compute(self, claim: Claim, files: NewFiles) -> float:
        samples = sum(submission.sample_size for submission in claim.submissions)
        if not samples:
            raise CannotClose("Nobody has labels.")
        return sum(mean_of(submission) * submission.sample_size for submission in claim.submissions) / samples

    def apply(self, claim: Claim, training: Training, result: float) -> None:
        claim.round.figures = {"mean": result}
        record(training=training, kind=EventKind.ROUND_CLOSED, number=claim.round.number, mean=result)


def mean_of(submission: Submission) -> float:
    """What was sent as JSON, or the mean of a file with one label a line."""
    row = submission.files.first()
    if row is None:
        return float(submission.content["mean"])
    with row.file.open("rb") as file:
        labels = [float(line) for line in file.read().split()]
    return sum(labels) / len(labels)


@pytest.fixture
def world(db: None) -> Iterator[World]:
    """Two participants, one update round, then the label means, then the test round."""
    round_kinds.register(LabelMeans)
    try:
        yield World(2, target_num_updates=1, options={"label_means": True}).start()
    finally:
        del round_kinds[LabelMeans.name]


def post(world: World, who: int, path: str, body: dict[str, Any], form: str = "json") -> Any:
    return client_of(world.people[who]).post(path, body, format=form)


def send(world: World, who: int, mean: object, *, number: int = 1, size: int = 1, kind: str = "label_mean") -> Any:
    body = {"round": number, "sample_size": size, "content": {"mean": mean}}
    return post(world, who, f"/api/trainings/{world.training.pk}/rounds/{kind}/", body)


def send_file(world: World, who: int, labels: bytes, *, size: int, **fields: Any) -> Any:
    form = {"round": 1, "sample_size": size, "file": uploaded(labels, "labels.txt"), **fields}
    return post(world, who, f"/api/trainings/{world.training.pk}/rounds/label_mean/", form, "multipart")


def update(world: World, who: int) -> None:
    form = {"round": 0, "sample_size": 1, "model_file": uploaded(pickled_linear(2.0))}
    assert post(world, who, f"/api/models/{world.training.model_id}/", form, "multipart").status_code == 201


def reach_the_round(world: World) -> None:
    for who in range(2):
        update(world, who)
    world.advance()
    assert world.state == ("O", "label_mean")


def told(world: World, who: int) -> list[tuple[str, Any]]:
    """What a participant is told over HTTP: type and round."""
    rows = client_of(world.people[who]).get("/api/notifications/").json()
    return [(row["notification_type"], row["body"].get("round")) for row in rows]


def test_a_whole_training_runs_over_http_with_a_kind_of_its_own(world: World) -> None:
    reach_the_round(world)
    assert told(world, 1)[-1] == ("LABEL_MEAN_ROUND_START", 1)
    body = world.delivery("LABEL_MEAN_ROUND_START").body
    assert body == {"round": 1, "global_model_uuid": str(world.training.model_id)}
    status = client_of(world.actor).get(f"/api/trainings/{world.training.pk}/status/").json()
    assert (status["state"], status["phase"], status["round"]) == ("O", "label_mean", 1)
    for who, (mean, size) in enumerate([(0.25, 3), (0.75, 1)]):
        answer = send(world, who, mean, size=size)
        assert (answer.status_code, answer.json()) == (201, ACCEPTED)
    world.advance()
    assert world.state == ("O", "test")
    (row,) = world.training.rounds.filter(kind="label_mean")
    assert (row.figures["mean"], row.outcome) == (0.375, "closed")  # (3 · 0.25 + 0.75) / 4
    history = client_of(world.actor).get(f"/api/trainings/{world.training.pk}/history/").json()
    assert [event["figures"] for event in history if event["kind"] == "round_closed"] == [{"mean": 0.375}]
    for who in range(2):
        form = {"metric_names": ["accuracy"], "metric_values": ["0.5"]}
        assert post(world, who, f"/api/models/{world.training.model_id}/metrics/", form, "multipart").status_code == 201
    world.advance()
    assert world.state == ("C", "idle")
    assert sent_to(world.people[0]) == [
        "TRAINING_START",
        "UPDATE_ROUND_START",
        "LABEL_MEAN_ROUND_START",
        "MODEL_TEST_ROUND",
        "TRAINING_FINISHED",
    ]


def test_a_training_that_does_not_want_such_rounds_has_none(world: World) -> None:
    Training.objects.filter(pk=world.training.pk).update(options={})
    for who in range(2):
        update(world, who)
    world.advance()
    assert world.state == ("O", "test")


def test_a_submission_is_replaced_until_the_round_is_claimed(world: World) -> None:
    reach_the_round(world)
    assert send(world, 0, 5.0).status_code == 201
    assert send(world, 0, 1.0, size=2).status_code == 201
    assert [row.content for row in submissions(world.training, kind="label_mean")] == [{"mean": 1.0}]
    send(world, 1, 4.0)
    claim_round(world.training)
    assert send(world, 0, 1.0, size=2).status_code == 201  # a retry of what is counted already
    late = send(world, 0, 9.0)
    sentence = f"Training with ID {world.training.pk} is not currently in round 1"
    assert (late.status_code, late.json()) == (400, [sentence])
    let_the_lease_run_out(world.training)
    world.advance()
    assert event_of(world.training, "round_closed").figures == {"mean": 2.0}


def test_a_submission_to_another_round_or_state_is_refused_with_a_sentence(world: World) -> None:
    prefix = f"Training with ID {world.training.pk}"
    assert send(world, 0, 1.0, number=0).json() == [NOT_YET.format(world.training.pk)]
    reach_the_round(world)
    refused = {
        send(world, 0, 1.0, number=2).json()[0],
        send(world, 0, 1.0, number=0).json()[0],
    }
    assert refused == {f"{prefix} is not currently in round {number}" for number in (0, 2)}
    for who in range(2):
        send(world, who, 1.0)
    world.advance()
    world.metrics(0)
    world.metrics(1)
    world.advance()
    over = send(world, 0, 2.0)
    assert (over.status_code, over.json()) == (400, [f"{prefix} is in state C"])


def test_what_the_kind_does_not_take_is_refused_in_its_own_words(world: World) -> None:
    reach_the_round(world)
    answer = send(world, 0, "many")
    sentence = "Send the mean of your labels as {'mean': number}, or your labels as a file."
    assert (answer.status_code, answer.json()) == (400, [sentence])
    path = f"/api/trainings/{world.training.pk}/rounds/label_mean/"
    nothing = post(world, 0, path, {"round": 1})
    assert (nothing.status_code, nothing.json()) == (400, {"non_field_errors": ["Send content or a file."]})
    assert post(world, 0, path, {"content": {"mean": 1}}).json() == {"round": ["This field is required."]}
    assert submissions(world.training, kind="label_mean") == []


@pytest.mark.parametrize("kind", ["unheard-of", "*"])
def test_an_unknown_kind_is_a_404(world: World, kind: str) -> None:
    answer = send(world, 0, 1.0, kind=kind)
    sentence = f"No round of kind '{kind}' takes submissions here."
    assert (answer.status_code, answer.json()) == (404, {"detail": sentence})


@pytest.mark.parametrize(
    ("kind", "path"), [("update", ""), ("passing_on", ""), ("swag", "swag/"), ("test", "metrics/")]
)
def test_a_kind_with_a_path_of_its_own_is_a_404_that_names_the_path(world: World, kind: str, path: str) -> None:
    answer = send(world, 0, 1.0, kind=kind)
    sentence = (
        f"No round of kind '{kind}' takes submissions here. "
        f"Send them to /api/models/<id>/{path}, with the model's id from the notification."
    )
    assert (answer.status_code, answer.json()) == (404, {"detail": sentence})


def test_only_participants_submit(world: World) -> None:
    reach_the_round(world)
    path = f"/api/trainings/{world.training.pk}/rounds/label_mean/"
    body = {"round": 1, "content": {"mean": 1}}
    for person in (world.actor, make_user("outsider")):
        answer = client_of(person).post(path, body, format="json")
        sentence = f"You are not a participant of training {world.training.pk}!"
        assert (answer.status_code, answer.json()) == (403, {"detail": sentence})
    assert client_of().post(path, body, format="json").status_code == 401
    unknown = client_of(world.people[0]).post("/api/trainings/none/rounds/label_mean/", body, format="json")
    assert (unknown.status_code, unknown.json()) == (400, {"detail": "Training none not found."})


@pytest.mark.django_db(transaction=True)
def test_a_submission_may_be_a_file(world: World) -> None:
    reach_the_round(world)
    before = stored_files()
    assert send_file(world, 0, b"9 9 9", size=3).status_code == 201
    answer = send_file(world, 0, b"0 1 1 1", size=4)
    assert (answer.status_code, answer.json()) == (201, ACCEPTED)
    assert len(stored_files() - before) == 1  # the file that was replaced is gone
    send_file(world, 1, b"", size=1, content='{"mean": 0.5}', file="")  # JSON in a form
    world.advance()
    assert event_of(world.training, "round_closed").figures == {"mean": 0.7}  # (4 · 0.75 + 0.5) / 5


def test_a_file_and_its_content_are_a_retry_only_together(world: World) -> None:
    reach_the_round(world)
    send_file(world, 0, b"1 1", size=2, content='{"unit": "mm"}')
    send(world, 1, 1.0)
    claim_round(world.training)
    assert send_file(world, 0, b"1 1", size=2, content='{"unit": "mm"}').status_code == 201
    assert send_file(world, 0, b"1 1", size=2, content='{"unit": "cm"}').status_code == 400


def test_a_round_that_cannot_be_closed_fails_the_training_and_goes_on_after_a_resume(world: World) -> None:
    reach_the_round(world)
    for who in range(2):
        send(world, who, 1.0, size=0)
    world.advance()
    assert (world.state, event_of(world.training, "failed").message) == (("E", "label_mean"), "Nobody has labels.")
    send(world, 0, 1.0)
    client = client_of(world.actor)
    assert client.post(f"/api/trainings/{world.training.pk}/resume/").status_code == 202
    send(world, 0, 2.0, size=1)
    world.advance()
    assert event_of(world.training, "round_closed").figures == {"mean": 2.0}


def test_a_kind_may_share_a_phase_with_others(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LabelMeans, "phase", "labels")
    for who in range(2):
        update(world, who)
    world.advance()
    assert world.state == ("O", "labels")
    for who in range(2):
        assert send(world, who, 0.5).status_code == 201
    world.advance()
    assert world.state == ("O", "test")


def test_without_the_package_that_defines_it_a_round_waits_for_a_worker_that_has_it(world: World) -> None:
    reach_the_round(world)
    for who in range(2):
        send(world, who, 1.0)
    removed = round_kinds.pop(LabelMeans.name)
    try:
        world.advance()
        assert world.state == ("O", "label_mean")
        problem = client_of(world.actor).get(f"/api/trainings/{world.training.pk}/status/").json()["problem"]
        assert problem.startswith("No installed package defines rounds of kind")
    finally:
        round_kinds.register(removed)
    let_the_lease_run_out(world.training)
    world.advance()
    assert (phase_of(world.training), len(events_of(world.training, "round_closed"))) == ("test", 1)


def test_the_admin_and_the_schema_know_it(world: World) -> None:
    from fl_server_core.models.delivery import notification_choices

    assert ("LABEL_MEAN_ROUND_START", "round of label means") in notification_choices()
    assert LabelMeans.phase == "label_mean"
