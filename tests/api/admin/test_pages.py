"""Every list and every page of every kind: it answers, finds, filters, and costs the same for many rows as for few."""

from __future__ import annotations

import re
from typing import Any
from uuid import uuid4

import pytest
from django.contrib import admin
from django.db import connection
from django.db.models import Model
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from fl_server_core.models import (
    Delivery,
    Event,
    GlobalModel,
    LocalModel,
    MeanModel,
    Metric,
    ModelVersion,
    Round,
    Submission,
    SWAGModel,
    Training,
    User,
)
from tests.api.admin.pages import KINDS, fill, first_digits, list_url, page_url
from tests.builders.clients import browser_of, token_of
from tests.builders.rows import make_user

pytestmark = pytest.mark.django_db
kinds = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


LISTS = "admin:fl_server_core"


def found_rows(client: Client, kind: type[Model], **query: str) -> list[Any]:
    response = client.get(list_url(kind), query)
    assert response.status_code == 200
    return list(response.context["cl"].result_list)


def test_every_kind_of_row_has_a_page_and_the_bare_model_has_none() -> None:
    registered = {model for model in admin.site._registry if model._meta.app_label == "fl_server_core"}
    assert registered == set(KINDS)


def test_the_index_names_every_kind(operator: Client) -> None:
    page = operator.get(reverse("admin:index")).content.decode()
    assert all(list_url(kind) in page for kind in KINDS)


@kinds
def test_labels_are_not_names_of_columns(operator: Client, kind: type[Model]) -> None:
    """As Django makes them of the names: "created at", "target num updates", "Training uuid", "Swag models"."""
    rows = fill(1)[kind]
    found = operator.get(list_url(kind))
    titles = [str(one.title) for one in found.context["cl"].filter_specs]
    pages = [operator.get(url) for url in (page_url(rows[0]), reverse(f"{LISTS}_{kind._meta.model_name}_add"))]
    texts = [page.content.decode() for page in (found, *pages) if page.status_code == 200]
    labels = re.findall(r"<label[^>]*>(.*?)</label>|<div class=\"text\">(.*?)</div>", "".join(texts), re.DOTALL)
    said = [re.sub(r"<[^>]*>", "", "".join(label)).strip(" :\n").lower() for label in labels]
    wrong = re.compile(r"^at$| at$|uuid|_|\bnum\b|^last update$| file$")
    assert [one for one in (*titles, *said) if wrong.search(one)] == []
    assert "Swag" not in "".join(texts)


@kinds
def test_lists_say_yes_and_no_in_words_not_in_colours(operator: Client, kind: type[Model]) -> None:
    fill(1)
    page = operator.get(list_url(kind)).content.decode()
    assert "icon-no" not in page
    assert "icon-yes" not in page


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        ({}, "API only"),
        ({"is_staff": True}, "staff"),
        ({"is_staff": True, "is_superuser": True}, "superuser"),
        ({"is_staff": True, "is_active": False}, "none: not active"),
    ],
)
def test_the_list_of_users_says_what_each_has_access_to(operator: Client, flags: dict[str, bool], word: str) -> None:
    make_user("anna", **flags)
    page = operator.get(list_url(User), {"q": "anna"}).content.decode()
    assert f'<td class="field-access">{word}</td>' in page


@pytest.mark.parametrize(
    ("is_counted", "is_closed", "word"), [(True, True, "yes"), (False, False, "not yet"), (False, True, "no")]
)
def test_a_submission_says_whether_it_counts(operator: Client, is_counted: bool, is_closed: bool, word: str) -> None:
    fill(1)
    Submission.objects.update(counted=is_counted)
    Round.objects.update(closed_at=timezone.now() if is_closed else None)
    assert f'<td class="field-is_counted">{word}</td>' in operator.get(list_url(Submission)).content.decode()


@pytest.mark.parametrize("kind", [Round, Submission, Event], ids=lambda kind: kind.__name__)
def test_figures_are_shown_one_a_line(operator: Client, kind: type[Model]) -> None:
    (row,) = fill(1)[kind]
    figures = {"mean_norm": 0.123456789, "updates": 3, "left_out": ["anna"], "why": "<late>"}
    kind._base_manager.filter(pk=row.pk).update(figures=figures)
    page = operator.get(page_url(row)).content.decode()
    lines = ("mean norm: 0.123457", "updates: 3", "left out: [&quot;anna&quot;]", "why: &lt;late&gt;")
    for line in lines:  # in no certain order: PostgreSQL sorts the keys of JSON
        assert f"<div>{line}</div>" in page


def test_the_list_of_rounds_says_where_each_stands(operator: Client) -> None:
    (row,) = fill(1)[Round]
    now = timezone.now()
    for fields, word in (
        ({"opened_at": None}, "not open yet"),
        ({"opened_at": now}, "open"),
        ({"claim": uuid4()}, "being closed"),
        ({"claim": None, "closed_at": now, "outcome": "abandoned"}, "abandoned"),
    ):
        Round.objects.update(**fields)
        page = operator.get(list_url(Round)).content.decode()
        assert f'<td class="field-status">{word}</td>' in page
    assert f"?round__id__exact={row.pk}" in page


def test_no_list_shows_tokens(operator: Client) -> None:
    user = make_user("anna")
    page = operator.get(list_url(User)).content.decode()
    assert "anna" in page
    assert token_of(user) not in page


@kinds
def test_an_outsider_is_sent_to_the_login(kind: type[Model]) -> None:
    outsider = make_user("outsider")
    row = fill(1)[kind][0]
    for client in (Client(), browser_of(outsider)):
        for url in (list_url(kind), page_url(row), page_url(row, "delete")):
            response = client.get(url)
            assert response.status_code == 302
            assert response["Location"].startswith(reverse("admin:login"))


@kinds
def test_each_list_and_page_answers_in_every_row(operator: Client, kind: type[Model]) -> None:
    for row in fill(2)[kind]:
        assert row.pk in [found.pk for found in found_rows(operator, kind)]
        assert operator.get(page_url(row)).status_code == 200
        assert operator.get(page_url(row, "history")).status_code == 200


def test_each_list_takes_as_many_queries_for_three_rows_as_for_thirty(operator: Client) -> None:
    fill(3)
    queries_of_list(operator, KINDS[0])  # content types are read once in a process
    few = {kind: queries_of_list(operator, kind) for kind in KINDS}
    fill(27, start=3)
    assert {kind: queries_of_list(operator, kind) for kind in KINDS} == few
    assert max(few.values()) <= 10


def queries_of_list(client: Client, kind: type[Model]) -> int:
    with CaptureQueriesContext(connection) as queries:
        assert client.get(list_url(kind)).status_code == 200
    return len(queries)


SEARCHES: tuple[tuple[type[Model], str], ...] = (
    (User, "participant-1"),
    (User, "client-1:8101"),
    (GlobalModel, "digits-1"),
    (GlobalModel, "actor-1 digits"),
    (SWAGModel, "swag-1"),
    (MeanModel, "mean-1"),
    (LocalModel, "participant-1"),
    (Metric, "digits-1 acc"),
    (Training, "digits-1"),
    (Training, "participant-1"),
    (ModelVersion, "digits-1"),
    (Round, "digits-1"),
    (Submission, "digits-1"),
    (Delivery, "participant-1 refused"),
    (Event, "actor-1"),
)


@pytest.mark.parametrize(("kind", "text"), SEARCHES)
def test_a_search_finds_by_name(operator: Client, kind: type[Model], text: str) -> None:
    rows = fill(3)
    second = rows[kind][1] if kind not in (User, Metric) else rows[kind][3 if kind is User else 2]
    assert [found.pk for found in found_rows(operator, kind, q=text)] == [second.pk]


@pytest.mark.parametrize("digits", [8, 11, 32])
def test_a_search_finds_by_the_beginning_of_an_id_with_or_without_dashes(operator: Client, digits: int) -> None:
    rows = fill(3)
    training = rows[Training][2]
    texts = (
        first_digits(training.pk, digits),
        str(training.pk)[: digits + 1],
        first_digits(training.pk, digits).upper(),
    )
    for text in texts:
        assert [found.pk for found in found_rows(operator, Training, q=text)] == [training.pk]
        assert [found.pk for found in found_rows(operator, GlobalModel, q=text)] == [training.model_id]
        for kind in (Round, Submission, Delivery, Event):
            assert [found.pk for found in found_rows(operator, kind, q=text)] == [rows[kind][2].pk]


def test_text_that_could_begin_an_id_is_still_looked_for_in_names(operator: Client) -> None:
    beef = make_user("beefcafe")
    assert [found.pk for found in found_rows(operator, User, q="beefcafe")] == [beef.pk]


def test_a_search_for_a_participant_names_its_training_once(operator: Client) -> None:
    training = fill(1)[Training][0]
    training.participants.add(make_user("participant-x"), make_user("participant-y"))
    assert [found.pk for found in found_rows(operator, Training, q="participant")] == [training.pk]


@kinds
def test_every_choice_of_every_filter_and_every_column_to_sort_by_answers(operator: Client, kind: type[Model]) -> None:
    fill(2)
    changes = operator.get(list_url(kind)).context["cl"]
    queries = [choice["query_string"] for spec in changes.filter_specs for choice in spec.choices(changes)]
    queries += [f"?o={sign}{number}" for number in range(1, len(changes.list_display)) for sign in ("", "-")]
    assert len(queries) > len(changes.list_display)
    for query in queries:
        assert operator.get(list_url(kind) + query).status_code == 200, query


ODD_QUERIES = (
    "q=%00", "q=a%00b", "q=%22", "q=%ED%A0%80", "q=" + "f" * 33, "state=%00", "id__exact=%00", "p=%00", "p=-1", "o=99",
    "nonsense=1", "created_at__year=99999", "id__exact=abc", "round__exact=99999999999999999999", "e=1", "all=",
    "value_float__isempty=x", "last_update__gte=x", "actor__id__exact=abc",
)  # fmt: skip


@kinds
def test_no_address_of_a_list_ends_in_an_error(operator: Client, kind: type[Model]) -> None:
    fill(1)
    for query in ODD_QUERIES:
        response = operator.get(f"{list_url(kind)}?{query}", follow=True)
        assert response.status_code in (200, 400), query


@kinds
@pytest.mark.parametrize("page", ["change", "delete", "history"])
def test_the_page_of_a_row_that_is_not_there_says_so(operator: Client, kind: type[Model], page: str) -> None:
    for key in ("abc", "%00", "9" * 23, "00000000-0000-4000-8000-000000000000", "-1"):
        response = operator.get(f"{list_url(kind)}{key}/{page}/", follow=True)
        # Rows of view-only kinds cannot be deleted, there or not.
        assert response.status_code in ((200, 403) if page == "delete" else (200,))
        if response.status_code == 200:
            assert any("exist" in str(message) for message in response.context["messages"])


@kinds
def test_an_action_on_what_is_not_a_row_is_a_message(operator: Client, kind: type[Model]) -> None:
    for key in ("abc", "\0", "9" * 30):
        for action in ("delete_selected", "retry", "nonsense", ""):
            data = {"action": action, "_selected_action": [key], "index": "0"}
            assert operator.post(list_url(kind), data, follow=True).status_code == 200


def test_an_autocomplete_search_with_a_null_character_answers(operator: Client) -> None:
    anna = make_user("anna")
    query = {"app_label": "fl_server_core", "model_name": "training", "field_name": "participants", "term": "an\0na"}
    response = operator.get(reverse("admin:autocomplete"), query)
    assert [found["id"] for found in response.json()["results"]] == [str(anna.pk)]


@pytest.mark.parametrize("kind", [Round, Submission, Delivery, Event], ids=lambda kind: kind.__name__)
def test_what_the_server_wrote_can_only_be_looked_at(operator: Client, kind: type[Model]) -> None:
    row = fill(1)[kind][0]
    assert operator.get(reverse(f"admin:fl_server_core_{kind._meta.model_name}_add")).status_code == 403
    assert operator.post(page_url(row), {"round": "7"}).status_code == 403
    assert operator.post(page_url(row, "delete"), {"post": "yes"}).status_code == 403
    assert kind._base_manager.filter(pk=row.pk).exists()


def test_a_metric_is_not_edited_but_may_be_deleted(operator: Client) -> None:
    figure, blob = fill(1)[Metric]
    assert operator.post(page_url(figure), {"key": "other"}).status_code == 403
    assert "0.9375" in operator.get(page_url(figure)).content.decode()
    assert "binary, 3\xa0bytes" in operator.get(page_url(blob)).content.decode()
    assert operator.post(page_url(figure, "delete"), {"post": "yes"}).status_code == 302
    assert list(Metric.objects.all()) == [blob]


def test_no_row_has_a_page_on_the_site() -> None:
    browser = browser_of(make_user("staff", is_staff=True))
    for path in ("/admin/r/1/1/", f"/admin/r/6/{uuid4()}/", "/admin/r/x/y/"):
        assert browser.get(path).status_code == 404
