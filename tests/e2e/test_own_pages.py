"""The pages at `/` in a real browser: somebody takes part, and somebody else steers, without being staff."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.utils import timezone
from playwright.sync_api import BrowserContext, Page, expect
from pytest_django.live_server_helper import LiveServer

from fl_server_core.models import EventKind, Training
from tests.builders.rows import (
    make_delivery,
    make_event,
    make_metric,
    make_running,
    make_submission,
    make_training,
    make_training_invitation,
    make_user,
)
from tests.e2e.browser import assert_fits_everyone, chromium, sign_in

pytestmark = [
    pytest.mark.once,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("may_use_rows_here"),
]
PASSWORD = "a-long-password-of-the-participant"


@pytest.fixture
def training(transactional_db: None) -> Training:
    """A running one with three participants, of whom the first has a password; it is invited to another one, too."""
    clinics = [make_user("clinic-1", password=PASSWORD), make_user("clinic-2"), make_user("clinic-3")]
    training = make_running(make_user("actor"), clinics, name="lungs", target_num_updates=40)
    for number in (0, 1):
        for index, clinic in enumerate(clinics):
            make_metric(training.model, "accuracy", 0.6 + 0.1 * number + 0.01 * index, reporter=clinic, step=number)
        make_event(training, EventKind.AGGREGATED, round=number, figures={"updates": 3})
    make_submission(training, clinics[1], is_silent=True)
    make_delivery(training, clinics[0], last_error="Connection refused", next_attempt_at=timezone.now())
    make_delivery(training, clinics[0], "TRAINING_START", status="accepted", settled_at=timezone.now())
    other = make_training(make_user("hospital"), clinics[1:], name="hearts")
    make_training_invitation(other, clinics[0])
    return training


@pytest.fixture
def context(training: Training, live_server: LiveServer) -> Iterator[BrowserContext]:
    with chromium() as browser:
        yield browser.new_context(base_url=live_server.url, viewport={"width": 1280, "height": 900})


def test_no_page_has_barriers_or_is_wider_than_the_window(
    page: Page, context: BrowserContext, live_server: LiveServer, training: Training
) -> None:
    page.goto("/")
    expect(page).to_have_url(f"{live_server.url}/sign-in/?next=/")
    assert_fits_everyone(page, "sign-in")
    page.get_by_role("link", name="Register").click()
    assert_fits_everyone(page, "register")
    expect(page.get_by_role("link", name="Sign in")).to_be_visible()
    sign_in(context, training.participants.get(username="clinic-1"), live_server.url)
    at = f"/trainings/{training.pk}/"
    paths = {
        "home": "/", "own-training": at, "leave": f"{at}steps/leave/", "invitations": "/invitations/",
        "notifications": "/notifications/",
    }  # fmt: skip
    for name, path in paths.items():
        page.goto(path)
        if name == "own-training":
            page.locator("figure.plot[data-drawn]").first.wait_for()
        page.wait_for_load_state("networkidle")
        assert_fits_everyone(page, name)
    page.goto("/tokens/")
    page.get_by_label("Name").fill("laptop")
    page.get_by_role("button", name="Make").click()
    expect(page.locator("code.key")).to_be_visible()
    assert_fits_everyone(page, "tokens")


def test_a_participant_signs_in_accepts_watches_and_leaves(page: Page, training: Training) -> None:
    page.goto(f"/trainings/{training.pk}/")
    page.get_by_label("Username").fill("clinic-1")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.locator(".standing")).to_contain_text("waiting for clinic-1 and clinic-3")
    page.get_by_role("link", name="Invitations").click()
    page.get_by_role("button", name="Accept the invitation of hospital").click()
    expect(page.locator(".messagelist")).to_contain_text("You take part.")
    page.get_by_role("link", name="Trainings").click()
    expect(page.get_by_role("link", name="hearts")).to_be_visible()
    page.get_by_role("link", name="lungs").last.click()
    page.get_by_role("link", name="Leave …").click()
    page.get_by_role("button", name="Leave").click()
    expect(page.locator(".messagelist")).to_contain_text("You take no part any more.")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Username")).to_be_visible()
    assert set(training.participants.values_list("username", flat=True)) == {"clinic-2", "clinic-3"}


def test_an_actor_removes_and_stops_by_buttons_that_ask_first(
    page: Page, context: BrowserContext, live_server: LiveServer, training: Training
) -> None:
    sign_in(context, training.actor, live_server.url)
    page.goto("/")
    page.get_by_role("link", name="lungs").first.click()
    page.get_by_role("link", name="Remove clinic-3").click()
    page.get_by_role("button", name="Remove").click()
    expect(page.locator(".standing")).to_contain_text("waiting for clinic-1; opened")
    page.get_by_role("link", name="Stop …").click()
    page.get_by_role("button", name="Stop").click()
    expect(page.locator(".standing .state")).to_have_text("error")
    training.refresh_from_db()
    assert not training.is_running
