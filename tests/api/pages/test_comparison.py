"""Trainings side by side: who may see which, what the page says, and the link that shows it again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from fl_server_core.models import EventKind, GlobalModel, ModelVersion, Training, User
from tests.builders.clients import browser_of, staff_with
from tests.builders.rows import (
    make_event,
    make_metric,
    make_model,
    make_round,
    make_submission,
    make_training,
    make_update,
    make_user,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def clinics(db: None) -> list[User]:
    return [make_user(f"clinic-{index}", is_staff=True) for index in range(2)]


@pytest.fixture
def actor(db: None) -> User:
    return make_user("actor", is_staff=True)


def made(actor: User, clinics: list[User], name: str, *accuracies: float, **fields: Any) -> Training:
    """A completed training that was tested after each of its rounds, with these means."""
    model = make_model(actor, name=name, round=len(accuracies))
    values = {"state": "C", "first_round": 0, "target_num_updates": 3, **fields}
    training = make_training(actor, clinics, model, **values)
    for number, accuracy in enumerate(accuracies, 1):
        for sign, clinic in zip((-0.01, 0.01), clinics, strict=True):
            make_metric(model, "accuracy", accuracy + sign, reporter=clinic, step=number)
    return training


def address(*trainings: Training, end: str = "") -> str:
    return f"/admin/trainings/compare/{end}?" + "&".join(f"id={training.pk}" for training in trainings)


def page_of(client: Client, *trainings: Training) -> str:
    answer = client.get(address(*trainings))
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def test_the_best_of_three_is_named_with_its_round(operator: Client, actor: User, clinics: list[User]) -> None:
    three = [
        made(actor, clinics, "lungs", 0.5, 0.9, 0.8),
        made(actor, clinics, "hearts", 0.6, 0.7, 0.97),
        made(actor, clinics, "bones", 0.1),
    ]
    answer = operator.get(address(*three))
    assert answer.context["headlines"] == ["Best: hearts, accuracy 0.97 in round 3."]
    lines = answer.context["lines"]
    assert [line.name for line in lines] == ["lungs", "hearts", "bones"]
    (reached,) = lines[0].reached
    assert (reached.final, reached.best) == ("0.8", "0.9 in round 2")
    assert reached.trend == "accuracy rose from 0.5 to 0.8 in the last two rounds."


def test_one_plot_has_a_line_for_each_training(operator: Client, actor: User, clinics: list[User]) -> None:
    one, other = made(actor, clinics, "lungs", 0.5, 0.9), made(actor, clinics, "hearts", 0.7)
    plots = operator.get(address(one, other, end="curves/")).json()["plots"]
    assert plots == {
        "tests:accuracy": {
            "title": "accuracy, of the global model",
            "x": {"label": "round", "values": [1, 2]},
            "series": [{"name": "lungs", "y": [0.5, 0.9]}, {"name": "hearts", "y": [0.7, None]}],
        }
    }


def test_the_rounds_count_from_each_trainings_own_start(operator: Client, actor: User, clinics: list[User]) -> None:
    late = made(actor, clinics, "late", first_round=7)
    GlobalModel.objects.filter(pk=late.model_id).update(round=9)
    make_metric(late.model, "loss", 1.0, reporter=clinics[0], step=8)
    update = make_update(GlobalModel.objects.get(pk=late.model_id), clinics[0], round=7)
    make_metric(update, "loss", 2.0, reporter=clinics[0], step=7)
    plots = operator.get(address(late, end="curves/")).json()["plots"]
    assert [plots[name]["x"]["values"] for name in ("tests:loss", "updates:loss")] == [[1], [1]]
    assert operator.get(address(late)).context["lines"][0].rounds == "2 of 3"


def test_a_participants_last_value_counts(operator: Client, actor: User, clinics: list[User]) -> None:
    training = made(actor, clinics, "lungs", 0.5)
    make_metric(training.model, "accuracy", 0.91, reporter=clinics[0], step=1)
    assert operator.get(address(training)).context["lines"][0].reached[0].final == "0.71"  # of 0.91 and 0.51


def test_why_a_training_failed_is_told(operator: Client, actor: User, clinics: list[User]) -> None:
    failed = made(actor, clinics, "hearts", state="E")
    make_event(failed, EventKind.FAILED, message="At the deadline 1 of 2 had <submitted>.")
    stopped = made(actor, clinics, "bones", state="E")
    page = page_of(operator, failed, stopped)
    assert "At the deadline 1 of 2 had &lt;submitted&gt;." in page
    assert "It was stopped." in page
    assert "The metrics don't tell which was best" in page


def test_only_options_that_differ_are_listed(operator: Client, actor: User, clinics: list[User]) -> None:
    same = {"round_deadline": 60}
    one = made(actor, clinics, "lungs", options={**same, "aggregation": {"clipping_norm": 1.0, "beta": 1}})
    other = made(actor, clinics, "hearts", options={**same, "aggregation": {"clipping_norm": 2.0, "beta": 1}},
                 aggregation_method="FedProx")  # fmt: skip
    assert operator.get(address(one, other)).context["options"] == [
        ("aggregation method", ["FedAvg", "FedProx"]),
        ("aggregation.clipping_norm", ["1.0", "2.0"]),
    ]
    assert "Settings that differ</h2> <p>Nothing" in page_of(operator, one)


def test_time_and_bytes_come_from_the_rows(operator: Client, actor: User, clinics: list[User]) -> None:
    training = made(actor, clinics, "lungs", 0.5)
    start = timezone.now() - timedelta(days=1)
    for kind, number, minutes in (("update", 0, 5), ("test", 1, 62)):
        make_round(training, kind, number, opened_at=start, closed_at=start + timedelta(minutes=minutes))
        for clinic in clinics:
            make_submission(training, clinic, kind=kind, round=number, is_silent=True)
    (line,) = operator.get(address(training)).context["lines"]
    size = ModelVersion.objects.get(model_id=training.model_id).size
    assert (line.time, line.bytes_moved) == ("1 h 2 min", (2 * 2 + 2 * 1) * size)
    assert size > 0


def test_everybody_sees_what_the_policies_let_them_see(actor: User, clinics: list[User]) -> None:
    training = made(actor, clinics, "lungs", 0.5)
    other = make_training(make_user(), [], name="secret")
    for user in (actor, clinics[0]):
        page = page_of(browser_of(user), training, other)
        assert "lungs" in page
        assert "secret" not in page
        assert "1 of the trainings can't be found, or you may not see them." in page
    outsider = make_user(is_staff=True)
    for end in ("", "curves/"):
        assert browser_of(outsider).get(address(training, end=end)).status_code == 403
        assert browser_of(staff_with_view()).get(address(training, other, end=end)).status_code == 200
        assert browser_of(make_user()).get(address(training, end=end))["Location"].startswith("/admin/login/")


def staff_with_view() -> User:
    return User.objects.filter(username="clerk").first() or staff_with("view_training")


def test_updates_of_others_count_for_the_actor_only(actor: User, clinics: list[User]) -> None:
    training = made(actor, clinics, "lungs")
    for clinic, value in zip(clinics, (1.0, 3.0), strict=True):
        update = make_update(GlobalModel.objects.get(pk=training.model_id), clinic)
        make_metric(update, "loss", value, reporter=clinic, step=0)

    def loss(user: User) -> list[float]:
        plots = browser_of(user).get(address(training, end="curves/")).json()["plots"]
        found: list[float] = plots["updates:loss"]["series"][0]["y"]
        return found

    assert (loss(actor), loss(clinics[0]), loss(clinics[1])) == ([2.0], [1.0], [3.0])


def test_ids_that_are_unknown_or_none_are_told(operator: Client, actor: User, clinics: list[User]) -> None:
    training = made(actor, clinics, "lungs")
    answer = operator.get(f"{address(training)}&id={uuid4()}&id=%00&id=x&id={training.pk}")
    assert (answer.status_code, answer.context["missing"], len(answer.context["lines"])) == (200, 3, 1)
    assert operator.get(f"/admin/trainings/compare/?id={uuid4()}").status_code == 403
    assert "lungs" in page_of(operator)


def test_more_than_fifty_are_cut_with_a_sentence(operator: Client, actor: User) -> None:
    trainings = [make_training(actor, name=f"t{index}") for index in range(52)]
    answer = operator.get(address(*trainings))
    assert len(answer.context["lines"]) == 50
    assert "52 trainings were chosen; the first 50 are compared." in answer.content.decode()


def test_trainings_of_the_same_name_are_told_apart(operator: Client, actor: User, clinics: list[User]) -> None:
    one, other = made(actor, clinics, "lungs", 0.5), made(actor, clinics, "lungs", 0.6)
    names = [line.name for line in operator.get(address(one, other)).context["lines"]]
    assert names == [f"lungs {str(one.pk)[:8]}", f"lungs {str(other.pk)[:8]}"]


def test_the_list_has_an_action_that_leads_here(operator: Client, actor: User, clinics: list[User]) -> None:
    two = [made(actor, clinics, "lungs"), made(actor, clinics, "hearts")]
    chosen = {"action": "compare", "_selected_action": [str(training.pk) for training in two]}
    answer = operator.post("/admin/fl_server_core/training/", chosen)
    assert {f"id={training.pk}" for training in two} == set(answer["Location"].partition("?")[2].split("&"))
    assert operator.get(answer["Location"]).status_code == 200


def test_ten_trainings_take_as_few_statements_as_one(operator: Client, actor: User, clinics: list[User]) -> None:
    trainings = [made(actor, clinics, f"t{index}", 0.5, 0.6, 0.7) for index in range(10)]
    for training in trainings:
        make_submission(training, clinics[0], is_silent=True)
    with CaptureQueriesContext(connection) as one:
        operator.get(address(trainings[0]))
    with CaptureQueriesContext(connection) as ten:
        operator.get(address(*trainings))
    assert len(ten) == len(one) <= 12
    assert operator.get(address(*trainings)).context["lines"][9].reached[0].final == "0.7"


def test_a_new_metric_changes_what_is_shown(operator: Client, actor: User, clinics: list[User]) -> None:
    training = made(actor, clinics, "lungs", 0.5)
    page_of(operator, training)
    for clinic in clinics:
        make_metric(training.model, "accuracy", 0.9, reporter=clinic, step=2)
    assert "Best: lungs, accuracy 0.9 in round 2." in page_of(operator, training)
