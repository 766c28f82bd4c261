"""The pages of those who are signed in without being staff: their trainings, and who may see what of them."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from fl_server_core.models import Delivery, Event, EventKind, GlobalModel, Training, User
from fl_server_core.models.training import TrainingState
from tests.builders.clients import browser_of, make_operator, staff_with
from tests.builders.rows import (
    make_delivery,
    make_event,
    make_metric,
    make_round,
    make_running,
    make_submission,
    make_training,
    make_training_invitation,
    make_update,
    make_user,
)

pytestmark = pytest.mark.django_db
OWN = ("/", "/invitations/", "/notifications/", "/tokens/")
READ = ("", "state/", "curves/", "rounds/", "curves/each/?plot=tests:loss", "curves/each/?plot=figures:norm")
ENDS = (*READ, "steps/stop/", "steps/leave/")


@pytest.fixture
def clinics(db: None) -> list[User]:
    return [make_user(f"clinic-{index}") for index in (1, 2, 3)]


@pytest.fixture
def owner(training: Training) -> Client:
    return browser_of(training.actor)


@pytest.fixture
def participant(clinics: list[User], training: Training) -> Client:
    return browser_of(clinics[0])


@pytest.fixture
def outsider(db: None) -> Client:
    return browser_of(make_user("outsider"))


def address(training: Training, end: str = "") -> str:
    return f"/trainings/{training.pk}/{end}"


def steps(client: Client, training: Training) -> list[str]:
    return [step.name for step, _url in client.get(address(training)).context["steps"]]


def test_anonymous_visitors_are_sent_to_sign_in(training: Training) -> None:
    for path in (*OWN, *(address(training, end) for end in ENDS)):
        answer = Client().get(path)
        assert (answer.status_code, answer["Location"].split("?")[0]) == (302, "/sign-in/"), path
        assert Client().post(path)["Location"].startswith("/sign-in/"), path


def test_the_pages_link_to_the_model_to_other_trainings_and_to_the_numbers(
    training: Training, owner: Client, participant: Client
) -> None:
    for client in (owner, participant):
        links = [url for _title, url in client.get(address(training)).context["links"]]
        assert links == [
            f"/models/{training.model_id}/",
            f"/trainings/compare/?id={training.pk}",
            f"/api/trainings/{training.pk}/metrics/?format=csv",
        ]
        assert [client.get(url).status_code for url in links] == [200, 200, 200]
        assert f'href="{links[0]}"' in client.get(address(training)).content.decode()
        assert 'href="/trainings/compare/"' in client.get("/").content.decode()


@pytest.mark.parametrize(("path", "status", "heading"), [
    ("", 403, "Your account may not open this page."),
    ("steps/nonsense/", 404, "There is no such page."),
])  # fmt: skip
def test_a_refusal_says_why_and_leads_home(
    training: Training, owner: Client, outsider: Client, path: str, status: int, heading: str
) -> None:
    answer = (owner if status == 404 else outsider).get(address(training, path))
    page = answer.content.decode()
    assert answer.status_code == status
    assert f"<h1>{heading}</h1>" in page
    assert '<a href="/">Your trainings</a>' in page
    assert "lungs" not in page


def test_staff_that_may_not_see_models_have_no_link_to_the_model(training: Training) -> None:
    links = browser_of(staff_with("view_training")).get(f"/admin{address(training)}").context["links"]
    assert [title for title, _url in links] == ["Compare with other trainings", "Metrics as CSV"]


def test_a_training_is_for_its_actor_and_participants(
    training: Training, owner: Client, participant: Client, outsider: Client
) -> None:
    for end in ENDS:
        assert outsider.get(address(training, end)).status_code == 403, end
    for end in READ:
        assert owner.get(address(training, end)).status_code == 200, end
        assert participant.get(address(training, end)).status_code == 200, end
        assert outsider.get(address(training, end), headers={"If-None-Match": '"x"'}).status_code == 403, end
    idle_staff = browser_of(make_user("idle", is_staff=True))
    assert idle_staff.get(address(training)).status_code == 403


def test_each_sees_its_own_trainings_with_its_part(
    training: Training, owner: Client, participant: Client, outsider: Client, clinics: list[User]
) -> None:
    make_training(make_user("other"), clinics[1:], name="hearts")
    assert [row.name for row in owner.get("/").context["page"]] == ["lungs"]
    (row,) = participant.get("/").context["page"]
    assert (row.name, row.takes_part, row.is_awaited) == ("lungs", True, True)
    assert [row.name for row in outsider.get("/").context["page"]] == []
    assert "lungs" not in outsider.get("/").content.decode()
    assert {row.name for row in browser_of(clinics[1]).get("/").context["page"]} == {"lungs", "hearts"}


def test_who_has_submitted_is_no_longer_awaited(training: Training, participant: Client, clinics: list[User]) -> None:
    assert {one.title: one.value for one in participant.get("/").context["figures"]}["Waiting for you"] == "1"
    make_submission(training, clinics[0], is_silent=True)
    assert not participant.get("/").context["page"][0].is_awaited
    assert {one.title: one.value for one in participant.get("/").context["figures"]}["Waiting for you"] == "0"


def test_running_trainings_come_first(participant: Client, training: Training, clinics: list[User]) -> None:
    done = make_training(training.actor, clinics, name="done", state=TrainingState.COMPLETED)
    Training.objects.filter(pk=done.pk).update(last_update=timezone.now() + timedelta(hours=1))
    assert [row.name for row in participant.get("/").context["page"]] == ["lungs", "done"]


def test_the_first_page_takes_as_many_statements_for_many_trainings_as_for_one(
    participant: Client, training: Training, clinics: list[User]
) -> None:
    with CaptureQueriesContext(connection) as few:
        participant.get("/")
    for _ in range(10):
        make_running(training.actor, clinics)
    with CaptureQueriesContext(connection) as many:
        participant.get("/")
    assert len(many) == len(few) <= 12


def test_the_actor_has_the_buttons_and_a_participant_may_leave(
    training: Training, owner: Client, participant: Client, outsider: Client
) -> None:
    assert steps(owner, training) == ["remind", "invite", "stop"]
    assert steps(participant, training) == ["leave"]
    for step in ("start", "stop", "resume", "remind", "invite", "remove"):
        for client in (participant, outsider):
            assert client.get(address(training, f"steps/{step}/")).status_code == 403
            assert client.post(address(training, f"steps/{step}/"), {"user": "clinic-2"}).status_code == 403
    assert owner.get(address(training, "steps/leave/")).status_code == 403
    training.refresh_from_db()
    assert training.is_running
    assert training.participants.count() == 3


@pytest.mark.parametrize("state", [TrainingState.INITIAL, TrainingState.ERROR, TrainingState.COMPLETED])
def test_nobody_is_removed_from_a_training_that_is_over(
    training: Training, owner: Client, state: TrainingState
) -> None:
    Training.objects.filter(pk=training.pk).update(state=state)
    page = owner.get(address(training)).content.decode()
    assert ("Remove clinic-1" in page) is (state != TrainingState.COMPLETED)


@pytest.mark.parametrize(
    ("endpoint", "takes_part", "counted"), [("", False, 0), ("", True, 1), ("https://actor.example.org/", False, 1)]
)
def test_notifications_that_nobody_waits_for_are_not_counted(
    training: Training, owner: Client, participant: Client, endpoint: str, takes_part: bool, counted: int
) -> None:
    User.objects.filter(pk=training.actor_id).update(message_endpoint=endpoint)
    training.participants.add(*[training.actor] * takes_part)
    make_delivery(training, training.actor, "TRAINING_FINISHED")
    make_delivery(training, User.objects.get(username="clinic-1"), "TRAINING_FINISHED")
    for client, number in ((owner, counted), (participant, 1)):
        figures = {one.title: one.value for one in client.get("/").context["figures"]}
        assert figures["Notifications"] == str(number)


def test_notifications_of_a_training_that_is_gone_still_count(training: Training, owner: Client) -> None:
    make_delivery(training, training.actor, "TRAINING_INVITATION")
    Delivery.objects.update(training=None)
    figures = {one.title: one.value for one in owner.get("/").context["figures"]}
    assert figures["Notifications"] == "1"


def test_a_button_asks_and_leaves_an_event_with_its_author(training: Training, owner: Client) -> None:
    assert "ends for good" in owner.get(address(training, "steps/stop/")).content.decode()
    training.refresh_from_db()
    assert training.is_running
    answer = owner.post(address(training, "steps/stop/"), follow=True)
    assert [str(message) for message in answer.context["messages"]] == ["The training was stopped."]
    assert Event.objects.get(training=training, kind=EventKind.STOPPED).author == training.actor


def test_who_leaves_is_led_to_the_first_page(training: Training, participant: Client, clinics: list[User]) -> None:
    answer = participant.post(address(training, "steps/leave/"))
    assert answer["Location"] == "/"
    assert clinics[0] not in training.participants.all()
    assert Event.objects.get(kind=EventKind.PARTICIPANT_LEFT).user == clinics[0]
    assert participant.get(address(training)).status_code == 403


def test_a_write_needs_the_token_of_the_page(training: Training) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(training.actor)
    for path in (
        address(training, "steps/stop/"),
        "/tokens/",
        "/invitations/trust/",
        f"/invitations/{training.pk}/accept/",
        "/sign-out/",
    ):
        assert client.post(path).status_code == 403, path
    training.refresh_from_db()
    assert training.is_running


def test_a_participant_sees_errors_and_figures_of_itself_only(
    training: Training, owner: Client, participant: Client, clinics: list[User]
) -> None:
    make_delivery(training, clinics[0], last_error="My own secret host")
    make_delivery(training, clinics[1], last_error="Another secret host")
    make_event(training, EventKind.DELIVERY_FAILED, user=clinics[1], figures={"error": "A third secret host"})
    make_event(training, EventKind.SUBMISSION_REPLAYED, user=clinics[2], figures={"first_sent_by": str(clinics[1].pk)})
    everything = ("My own secret host", "Another secret host", "A third secret host", str(clinics[1].pk))
    for end in ("", "state/"):
        page = participant.get(address(training, end)).content.decode()
        assert [text for text in everything if text in page] == ["My own secret host"], end
        page = owner.get(address(training, end)).content.decode()
        assert [text for text in everything if text in page] == list(everything), end


def test_a_participant_gets_the_curve_of_its_own_updates_only(
    training: Training, participant: Client, owner: Client, clinics: list[User]
) -> None:
    model = GlobalModel.objects.get(pk=training.model_id)
    for number, clinic in enumerate(clinics, 1):
        make_metric(make_update(model, clinic), "loss", float(number), reporter=clinic, step=0)
    each = address(training, "curves/each/?plot=updates:loss")
    assert [one["name"] for one in participant.get(each).json()["series"]] == ["clinic-1"]
    assert [one["name"] for one in owner.get(each).json()["series"]] == ["clinic-1", "clinic-2", "clinic-3"]
    plots = participant.get(address(training, "curves/")).json()["plots"]
    assert plots["updates:loss"]["series"][0]["y"] == [1.0]
    assert owner.get(address(training, "curves/")).json()["plots"]["updates:loss"]["series"][0]["y"] == [2.0]


def test_a_participant_gets_the_figures_of_its_own_updates_only(
    training: Training, participant: Client, owner: Client, clinics: list[User]
) -> None:
    figures = {str(clinic.pk): {"norm": float(number)} for number, clinic in enumerate(clinics, 1)}
    now = timezone.now()
    fields: dict[str, Any] = {"opened_at": now - timedelta(seconds=8), "closed_at": now, "outcome": "closed"}
    make_round(training, number=0, figures={"by_participant": figures}, **fields)
    plots = owner.get(address(training, "rounds/")).json()["plots"]
    assert plots["durations:update"]["columns"] == [{"name": "total", "values": [8.0]}]
    assert plots["figures:norm"]["series"] == [{"name": "median", "y": [2.0], "low": [1.0], "high": [3.0]}]
    plots = participant.get(address(training, "rounds/")).json()["plots"]
    assert plots["figures:norm"]["series"] == [{"name": "median", "y": [1.0], "low": [1.0], "high": [1.0]}]
    each = address(training, "curves/each/?plot=figures:norm")
    assert participant.get(each).json() == {"series": [{"name": "clinic-1", "y": [1.0]}]}
    assert len(owner.get(each).json()["series"]) == 3


def test_nothing_links_to_the_admin_but_for_staff(training: Training, owner: Client, participant: Client) -> None:
    for client in (owner, participant):
        for path in (*OWN, address(training), address(training, "state/")):
            assert 'href="/admin/' not in client.get(path).content.decode(), path
    assert 'href="/admin/"' in browser_of(make_operator()).get("/").content.decode()


def test_no_page_is_kept_by_the_browser(training: Training, participant: Client) -> None:
    for path in (*OWN, address(training), address(training, "state/")):
        assert "no-store" in participant.get(path)["Cache-Control"], path


def test_the_page_takes_few_statements_for_a_participant_too(
    training: Training, participant: Client, clinics: list[User]
) -> None:
    make_submission(training, clinics[0], is_silent=True)
    make_delivery(training, clinics[1], last_error="x")
    make_training_invitation(training, make_user("guest"))
    with CaptureQueriesContext(connection) as statements:
        participant.get(address(training))
    assert len(statements) <= 12


def test_notifications_are_shown_to_their_receiver_with_its_errors(
    training: Training, owner: Client, participant: Client, outsider: Client, clinics: list[User]
) -> None:
    make_delivery(training, clinics[0], status="accepted", attempts=1)
    make_delivery(training, clinics[0], "TRAINING_START", last_error="Connection <refused>", attempts=2)
    make_delivery(training, clinics[1], last_error="Not for others")
    gone = make_training(make_user("other"), [], name="hearts")
    make_delivery(gone, clinics[0], "CLIENT_REMOVED")
    rows = participant.get("/notifications/").context["rows"]
    assert [(row.notification_type, told, row.attempts, row.name) for row, told in rows] == [
        ("CLIENT_REMOVED", "on its way", 0, None),
        ("TRAINING_START", "on its way", 2, "lungs"),
        ("UPDATE_ROUND_START", "yes", 1, "lungs"),
    ]
    page = participant.get("/notifications/").content.decode()
    assert "Connection &lt;refused&gt;" in page
    assert "hearts" not in page
    for client in (owner, participant, outsider):
        assert "Not for others" not in client.get("/notifications/").content.decode()
    assert len(outsider.get("/notifications/").context["page"].object_list) == 0


@pytest.mark.parametrize("state", TrainingState)
def test_a_state_has_one_word_on_all_pages_and_in_the_admin(
    training: Training, owner: Client, state: TrainingState
) -> None:
    Training.objects.filter(pk=training.pk).update(state=state)
    for path in ("/", address(training), f"/trainings/compare/?id={training.pk}"):
        badges = re.findall(r'<(?:span|strong) class="state[^"]*">([^<]*)</', owner.get(path).content.decode())
        assert state.label in badges, path
    listed = browser_of(make_operator()).get("/admin/fl_server_core/training/").content.decode()
    assert f'<td class="field-state">{state.label}</td>' in listed
