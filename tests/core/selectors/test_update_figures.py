"""How each update was beside the others, round by round, and who sees it."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from fl_server_core.models import Training, User
from fl_server_core.selectors.readers import TrainingReader
from fl_server_core.selectors.update_figures import Spread, figure_spreads, participants_figures
from tests.builders.rows import make_round, make_running, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def clinics(db: None) -> list[User]:
    return [make_user(f"clinic-{index}") for index in (1, 2, 3, 4)]


@pytest.fixture
def training(clinics: list[User]) -> Training:
    return make_running(make_user("actor"), clinics)


def close(training: Training, number: int, by_participant: dict[str, Any]) -> None:
    now = timezone.now()
    figures = {"by_participant": by_participant}
    make_round(training, number=number, opened_at=now, closed_at=now, outcome="closed", figures=figures)


def norms(clinics: list[User], *values: float | None) -> dict[str, Any]:
    return {str(clinic.pk): {"norm": value, "share": 0.25} for clinic, value in zip(clinics, values, strict=False)}


def seen_by(user: User, training: Training) -> dict[str, list[Spread]]:
    return figure_spreads(training, TrainingReader(training, user))


def test_the_one_who_is_off_is_named(training: Training, clinics: list[User]) -> None:
    close(training, 0, norms(clinics, 1.0, 2.0, 3.0, 50.0))
    close(training, 1, norms(clinics, 4.0, -90.0, 6.0, 5.0))
    assert seen_by(training.actor, training) == {
        "norm": [
            Spread(0, 2.5, 1.0, 50.0, 4, ("clinic-4", 50.0)),
            Spread(1, 4.5, -90.0, 6.0, 4, ("clinic-2", -90.0)),
        ]
    }


def test_of_two_nobody_is_the_farthest_and_what_is_not_defined_is_left_out(
    training: Training, clinics: list[User]
) -> None:
    close(training, 0, norms(clinics, 1.0, None, 5.0))
    assert seen_by(training.actor, training) == {"norm": [Spread(0, 3.0, 1.0, 5.0, 2, None)]}
    close(training, 0, norms(clinics, None, None))
    assert seen_by(training.actor, training) == {}


def test_a_participant_sees_its_own_and_an_outsider_nothing(training: Training, clinics: list[User]) -> None:
    close(training, 0, norms(clinics, 1.0, 2.0, 3.0, 50.0))
    assert seen_by(clinics[1], training) == {"norm": [Spread(0, 2.0, 2.0, 2.0, 1, None)]}
    assert seen_by(make_user("outsider"), training) == {}

    def lines(user: User) -> dict[str, dict[int, float]]:
        return participants_figures(training, TrainingReader(training, user), "norm")

    assert lines(clinics[1]) == {"clinic-2": {0: 2.0}}
    assert list(lines(training.actor)) == ["clinic-1", "clinic-2", "clinic-3", "clinic-4"]


def test_an_account_that_is_deleted_keeps_the_beginning_of_its_id(training: Training, clinics: list[User]) -> None:
    close(training, 0, norms(clinics, 1.0, 2.0, 3.0, 50.0))
    key = str(clinics[3].pk)
    clinics[3].delete()
    assert seen_by(training.actor, training)["norm"][0].farthest == (f"deleted account {key[:8]}", 50.0)


def test_it_takes_two_statements_for_many_rounds(
    training: Training, clinics: list[User], django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(5):
        close(training, number, norms(clinics, 1.0, 2.0, 3.0, 4.0))
    reader = TrainingReader(training, training.actor)
    with django_assert_num_queries(2):
        assert len(figure_spreads(training, reader)["norm"]) == 5
