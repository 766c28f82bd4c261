from __future__ import annotations

from typing import Any

import pytest

from fl_server_core.models import Training
from fl_server_core.services.trainings import start_training
from tests.api.conftest import People
from tests.builders.files import saved_vector, uploaded
from tests.builders.rounds import kind_of, moment_files_of, open_round_as, submissions
from tests.builders.rows import make_swag_model, make_training
from tests.builders.storage import stored_files

FIRST = saved_vector(*[0.5] * 8)
SECOND = saved_vector(*[0.25] * 8)


@pytest.fixture
def swag_round(people: People) -> Training:
    """A SWAG round with one participant, of a model with eight parameters."""
    model = make_swag_model(people.actor.user)
    training = make_training(people.actor.user, [people.participant.user], model, uncertainty_method="SWAG")
    start_training(training_id=training.pk, user=people.actor.user)
    open_round_as(training, "swag")
    training.refresh_from_db()
    return training


def send(client: Any, training: Training, **fields: Any) -> Any:
    values = {
        "round": "0",
        "sample_size": "10",
        "first_moment_file": uploaded(FIRST),
        "second_moment_file": uploaded(SECOND),
        **fields,
    }
    parts = {key: value for key, value in values.items() if value is not None}
    return client.post(f"/api/models/{training.model_id}/swag/", parts)


def test_a_participants_moments_are_kept(people: People, swag_round: Training) -> None:
    answer = send(people.participant.client, swag_round)
    assert (answer.status_code, answer.json()) == (201, {"detail": "SWAG Statistic Accepted"})
    (kept,) = submissions()
    assert (kind_of(kept), kept.sample_size) == ("swag", 10)
    for file, content in zip(moment_files_of(kept), (FIRST, SECOND), strict=True):
        with file.open("rb") as opened:
            assert opened.read() == content


@pytest.mark.parametrize("missing", ["first_moment_file", "second_moment_file"])
def test_a_missing_file_is_told_by_its_name(people: People, swag_round: Training, missing: str) -> None:
    answer = send(people.participant.client, swag_round, **{missing: None})
    assert (answer.status_code, answer.json()) == (400, {"detail": f"No uploaded file '{missing}' found."})


@pytest.mark.parametrize(
    "fields",
    [
        {"round": None},
        {"sample_size": None},
        {"round": "3"},
        {"sample_size": "0"},
        {"first_moment_file": uploaded(saved_vector(1.0))},
        {"first_moment_file": uploaded(saved_vector(*[float("nan")] * 8))},
        {"first_moment_file": uploaded(b"garbage")},
        {"second_moment_file": uploaded(saved_vector(*[-1.0] * 8))},
    ],
)
def test_moments_that_cannot_be_averaged_are_refused_and_nothing_stays(
    people: People, swag_round: Training, fields: dict[str, Any]
) -> None:
    before = stored_files()
    answer = send(people.participant.client, swag_round, **fields)
    assert answer.status_code == 400
    assert (len(submissions()), stored_files()) == (0, before)


def test_moments_are_for_participants_and_for_the_state_s(
    people: People, swag_round: Training, running: Training
) -> None:
    assert send(people.actor.client, swag_round).status_code == 403
    assert send(people.outsider.client, swag_round).status_code == 403
    assert send(people.nobody, swag_round).status_code == 401
    early = send(people.participant.client, running)
    assert (early.status_code, early.json()) == (400, [f"Training with ID {running.pk} is in state O"])


def test_a_moment_that_is_not_finite_is_refused_without_a_name_that_it_does_not_have(
    people: People, swag_round: Training
) -> None:
    file = uploaded(saved_vector(*[float("nan")] * 8))
    answer = send(people.participant.client, swag_round, second_moment_file=file)
    (sentence,) = answer.json()
    assert sentence.endswith("moment file: The tensor holds values that are not finite (NaN or infinity).")
