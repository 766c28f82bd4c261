"""The first page, the navigation, and the look of times and ids."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from fl_server_api.pages.html import ago, moment, short_id
from fl_server_api.pages.navigation import SECTIONS, navigation
from fl_server_core.models import Training
from fl_server_core.models.training import TrainingState
from tests.builders.clients import browser_of, staff_with
from tests.builders.rows import make_delivery, make_event, make_running, make_training, make_user

pytestmark = pytest.mark.django_db


def figures(client: Client) -> dict[str, str]:
    """By title: the values of the overview."""
    return {figure.title: figure.value for figure in client.get("/admin/").context["overview"].figures}


def fill() -> Training:
    actor, anna = make_user("actor"), make_user("anna")
    training = make_running(actor, [anna], name="lungs")
    failed = make_training(actor, [anna], name="hearts", state=TrainingState.ERROR)
    make_event(failed, "failed", message="The disk is <full>.")
    make_delivery(training, anna, last_error="Connection refused")
    return training


def test_the_overview_says_what_runs_waits_and_failed_and_why(operator: Client) -> None:
    training = fill()
    page = operator.get("/admin/").content.decode()
    assert f"/admin/trainings/{training.pk}/" in page
    assert "anna" in page
    assert "The disk is &lt;full&gt;." in page
    found = figures(operator)
    assert (found["Running"], found["In error"], found["Being retried"], found["Given up"]) == ("1", "1", "1", "0")


def test_each_figure_leads_to_a_list_of_as_many_rows(operator: Client) -> None:
    fill()
    page = operator.get("/admin/")
    for figure in page.context["overview"].figures:
        answer = operator.get(figure.url)
        assert answer.status_code == 200, figure.title
        assert urlsplit(answer.request["PATH_INFO"]).query == ""
        if figure.title in ("Running", "In error", "Initial", "Completed", "Rounds", "Being retried", "Given up"):
            assert len(answer.context["cl"].result_list) == int(figure.value), figure.title


def test_a_figure_in_colour_has_a_word_beside_it(operator: Client) -> None:
    fill()
    for figure in operator.get("/admin/").context["overview"].figures:
        assert bool(figure.word) or figure.tone != "bad", figure.title


def test_staff_see_of_the_overview_what_they_may_view() -> None:
    fill()
    clerk = browser_of(staff_with("view_delivery"))
    assert set(figures(clerk)) == {"Being retried", "Given up", "Parts", "Disk", "Workers", "Sandbox"}
    assert "lungs" not in clerk.get("/admin/").content.decode()


def test_outsiders_participants_and_actors_are_sent_to_the_login() -> None:
    training = fill()
    anna = training.participants.get()
    for client in (Client(), browser_of(make_user("outsider")), browser_of(anna), browser_of(training.actor)):
        for path in ("/admin/", "/admin/system/"):
            assert client.get(path)["Location"].startswith("/admin/login/")


def test_the_overview_takes_as_many_statements_for_many_trainings_as_for_one(operator: Client) -> None:
    fill()
    with CaptureQueriesContext(connection) as few:
        operator.get("/admin/")
    people = [make_user() for _ in range(5)]
    for _ in range(10):
        make_running(people[0], people)
    with CaptureQueriesContext(connection) as many:
        operator.get("/admin/")
    assert len(many) == len(few) <= 12


def test_the_navigation_is_by_what_people_do(operator: Client) -> None:
    page = operator.get("/admin/fl_server_core/round/")
    entries = page.context["sections"]
    titles = ["Overview", "Trainings", "Models", "People", "Notifications", "Audit", "System"]
    assert [entry.title for entry in entries] == titles
    assert [entry.title for entry in entries if entry.is_current] == ["Trainings"]
    assert [link.title for entry in entries for link in entry.links if link.is_current] == ["Rounds"]
    assert all(operator.get(entry.url).status_code == 200 for entry in entries)


def test_alerts_are_found_beside_notifications(operator: Client) -> None:
    entries = {entry.title: entry for entry in operator.get("/admin/fl_server_core/alert/").context["sections"]}
    assert [link.title for link in entries["Notifications"].links] == ["Deliveries", "Alert rules", "Alerts"]
    assert entries["Notifications"].is_current


def test_a_section_of_which_one_may_see_nothing_is_left_out() -> None:
    entries = browser_of(staff_with("view_round")).get("/admin/").context["sections"]
    assert [entry.title for entry in entries] == ["Overview", "Trainings", "System"]
    assert entries[1].url == "/admin/fl_server_core/round/"


def test_lists_that_no_section_names_are_under_system() -> None:
    kinds = [{"object_name": name, "name": name, "admin_url": f"/admin/x/{name}/"} for name in ("Round", "Plugin")]
    by_title = {entry.title: entry for entry in navigation([{"models": kinds}], "/admin/x/Plugin/")}
    assert [link.title for link in by_title["System"].links] == ["Plugin"]
    assert by_title["System"].is_current
    assert len(by_title) < len(SECTIONS)


def test_a_time_names_its_zone_and_can_be_read_by_the_script() -> None:
    shown = moment(datetime(2026, 7, 1, 12, 0, 5, tzinfo=UTC))
    assert shown == (
        '<time datetime="2026-07-01T12:00:05+00:00" title="2026-07-01 14:00:05 CEST">2026-07-01 14:00:05</time>'
    )
    assert (moment(None), ago(None)) == ("–", "–")


def test_an_id_is_shortened_and_can_be_copied() -> None:
    assert short_id("12345678-aaaa") == '<code class="id" data-copy="12345678-aaaa">12345678</code>'


def test_pages_name_the_servers_zone_until_the_script_knows_the_readers(operator: Client) -> None:
    assert re.search(r"Times are in <span data-zone>Europe/Berlin</span>", operator.get("/admin/").content.decode())
