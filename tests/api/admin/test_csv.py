"""Every list of the admin as CSV."""

from __future__ import annotations

import csv
import io
from datetime import datetime
from typing import Any

import pytest
from django.db import connection
from django.db.models import Model
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from fl_server_core.models import AccessToken, Event, Metric, Submission, Training, User
from tests.api.admin.pages import KINDS, fill, list_url
from tests.builders.clients import browser_of, staff_with
from tests.builders.rows import make_event, make_metric, make_user
from tests.builders.storage import body_of

pytestmark = pytest.mark.django_db
kinds = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


def csv_url(kind: type[Model]) -> str:
    return reverse(f"admin:fl_server_core_{kind._meta.model_name}_csv")


def table(answer: Any) -> list[dict[str, str]]:
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    content = body_of(answer) if answer.streaming else answer.content
    return list(csv.DictReader(io.StringIO(content.decode(), newline="")))


@kinds
def test_a_list_is_downloaded_with_all_of_its_rows(operator: Client, kind: type[Model]) -> None:
    rows = fill(2)[kind]
    found = table(operator.get(csv_url(kind)))
    assert {row["id"] for row in found} >= {str(row.pk) for row in rows}
    assert not any("<" in cell and ">" in cell for row in found for cell in row.values() if cell)


@kinds
def test_many_rows_cost_as_many_statements_as_few(operator: Client, kind: type[Model]) -> None:
    counts = []
    for start, number in ((0, 1), (1, 5)):
        fill(number, start)
        operator.get(csv_url(kind))
        with CaptureQueriesContext(connection) as statements:
            operator.get(csv_url(kind))
        counts.append(len(statements))
    assert counts[0] == counts[1]


@kinds
def test_an_outsider_gets_no_table(kind: type[Model]) -> None:
    fill(1)
    for client in (Client(), browser_of(make_user("outsider"))):
        answer = client.get(csv_url(kind))
        assert (answer.status_code, answer.headers["Location"].startswith(reverse("admin:login"))) == (302, True)
    other = "view_metric" if kind is not Metric else "view_event"
    assert browser_of(staff_with(other)).get(csv_url(kind)).status_code == 403


def test_filters_and_searches_of_the_list_hold_for_the_table(operator: Client) -> None:
    make_user("anna", is_staff=True)
    make_user("ben")
    names = [row["username"] for row in table(operator.get(csv_url(User), {"q": "ann"}))]
    assert names == ["anna"]
    found = table(operator.get(csv_url(User), {"is_staff__exact": "0"}))
    assert "ben" in [row["username"] for row in found]
    assert "anna" not in [row["username"] for row in found]


@pytest.mark.parametrize("query", [{"nonsense__lookup": "1"}, {"q": "a\0b"}])
def test_filters_that_cannot_be_used_lead_back_to_the_list(operator: Client, query: dict[str, str]) -> None:
    assert operator.get(csv_url(User), query).headers["Location"].split("?")[0] == list_url(User)


def test_the_action_takes_what_is_selected_or_else_everything_that_is_filtered(operator: Client) -> None:
    first, _second, _third = make_user("anna"), make_user("annabel"), make_user("ben")
    chosen = operator.post(list_url(User), {"action": "download_csv", "_selected_action": [str(first.pk)]})
    assert [row["id"] for row in table(chosen)] == [str(first.pk)]
    answer = operator.post(f"{list_url(User)}?q=anna", {"action": "download_csv"}, follow=True)
    assert sorted(row["username"] for row in table(answer)) == ["anna", "annabel"]


def test_every_list_offers_it(operator: Client) -> None:
    fill(1)
    for kind in KINDS:
        page = operator.get(list_url(kind))
        assert '<option value="download_csv">Download as CSV</option>' in page.content.decode()
        assert page.context["csv_url"] == csv_url(kind)


def test_values_are_whole_and_times_say_their_zone(operator: Client) -> None:
    training = fill(1)[Training][0]
    message = "all " * 60
    event = make_event(training, message=message, figures={"updates": 3})
    row = next(row for row in table(operator.get(csv_url(Event))) if row["id"] == str(event.pk))
    event.refresh_from_db()
    assert (datetime.fromisoformat(row["time"]), row["time"][-6:]) == (event.at, "+00:00")
    assert (row["training_id"], row["figures"]) == (str(training.pk), '{"updates": 3}')
    assert row["message"] == message  # the list cuts it off
    metric = make_metric(training.model, "loss", 0.1 + 0.2)
    row = next(row for row in table(operator.get(csv_url(Metric))) if row["id"] == str(metric.pk))
    assert float(row["value_float"]) == 0.1 + 0.2


def test_text_that_begins_like_a_formula_is_quoted(operator: Client) -> None:
    training = fill(1)[Training][0]
    make_event(training, message='=HYPERLINK("http://evil.example")')
    messages = [row["message"] for row in table(operator.get(csv_url(Event)))]
    assert messages.count("""'=HYPERLINK("http://evil.example")""") == 1


def test_no_table_holds_what_lets_somebody_sign_in(operator: Client) -> None:
    user = make_user("anna", password="correct horse")
    rows = fill(1)[AccessToken]
    secrets = {user.password, *(row.digest for row in rows)}
    for kind in KINDS:
        answer = operator.get(csv_url(kind))
        text = (body_of(answer) if answer.streaming else answer.content).decode()
        assert not any(secret in text for secret in secrets)


def test_a_choice_and_a_link_are_told_in_words(operator: Client) -> None:
    submission = fill(1)[Submission][0]
    row = table(operator.get(csv_url(Training)))[0]
    assert (row["state"], row["model_id"]) == ("ongoing", str(submission.round.training.model_id))


@kinds
def test_a_list_links_to_its_table_with_the_lists_filters(operator: Client, kind: type[Model]) -> None:
    fill(1)
    assert f'<a href="{csv_url(kind)}?">Download as CSV</a>' in operator.get(list_url(kind)).content.decode()


def test_the_link_of_a_filtered_list_leads_to_the_rows_that_are_left(operator: Client) -> None:
    page = operator.get(list_url(User), {"q": "ann", "is_staff__exact": "0"}).content.decode()
    assert f'<a href="{csv_url(User)}?is_staff__exact=0&amp;q=ann">Download as CSV</a>' in page
