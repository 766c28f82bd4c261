"""The pages in a real browser: in both themes, on a desk and on a telephone, with everything in them at work."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db.models import F
from django.utils import timezone
from playwright.sync_api import BrowserContext, Locator, Page, expect
from pytest_django.live_server_helper import LiveServer

from fl_server_core.models import EventKind, Round, Training, User
from tests.builders.clients import make_operator
from tests.builders.rows import (
    make_delivery,
    make_event,
    make_metric,
    make_model,
    make_round,
    make_running,
    make_submission,
    make_training,
    make_training_invitation,
    make_user,
)
from tests.e2e.browser import PATIENCE, assert_fits_everyone, chromium, sign_in

pytestmark = [
    pytest.mark.once,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("may_use_rows_here"),
]
ZONE = "America/New_York"


@pytest.fixture
def operator(transactional_db: None) -> User:
    return make_operator()


@pytest.fixture
def training(transactional_db: None) -> Training:
    """One that has closed two rounds; of its three participants two are awaited, one of them out of reach."""
    clinics = [make_user(f"clinic-{index}") for index in (1, 2, 3)]
    actor = make_user("actor")
    model = make_model(actor, name="lungs", round=2)
    training = make_running(actor, clinics, model=model, target_num_updates=40)
    for number in (0, 1):
        report(training, number)
        close(training, number)
    make_submission(training, clinics[0], round=2, is_silent=True)
    make_delivery(training, clinics[1], round=2, status="accepted")
    make_delivery(training, clinics[2], round=2, last_error="Connection refused", next_attempt_at=timezone.now())
    make_training_invitation(training, make_user("clinic-9"))
    deadline = F("opened_at") + timedelta(hours=1)
    Round.objects.filter(training=training).update(deadline=deadline)
    failed = make_training(training.actor, clinics, name="hearts", state="E", first_round=0)
    make_round(failed, opened_at=timezone.now())
    make_event(failed, EventKind.FAILED, message="At the deadline 1 of 3 participants had submitted.")
    return training


def close(training: Training, number: int) -> None:
    """The round took 100 seconds; the update of the last participant was far off."""
    figures = {
        str(clinic.pk): {"norm": (1.0, 1.25, 9.0)[index], "cosine": (0.9, 0.8, -0.5)[index]}
        for index, clinic in enumerate(training.participants.order_by("username"))
    }
    now = timezone.now()
    make_round(
        training, number=number, opened_at=now - timedelta(seconds=100), closed_at=now, outcome="closed",
        figures={"by_participant": figures, "notifying_seconds": 5, "computing_seconds": 15},
    )  # fmt: skip


def report(training: Training, number: int) -> None:
    """What the participants measured in a round, and that it was closed."""
    for index, clinic in enumerate(training.participants.order_by("username")):
        for key, value in (("accuracy", 0.6 + 0.1 * number), ("loss", 2.0 / (number + 1))):
            make_metric(training.model, key, value + 0.01 * index, reporter=clinic, step=number)
    make_event(training, EventKind.AGGREGATED, round=number, figures={"updates": 3})


@pytest.fixture
def context(operator: User, live_server: LiveServer) -> Iterator[BrowserContext]:
    """Signed in as an operator in New York."""
    with chromium() as browser:
        opened = browser.new_context(
            base_url=live_server.url, timezone_id=ZONE, viewport={"width": 1280, "height": 900}
        )
        sign_in(opened, operator, live_server.url)
        yield opened


def address(training: Training) -> str:
    return f"/admin/trainings/{training.pk}/"


def test_no_page_has_barriers_or_is_wider_than_the_window(page: Page, training: Training) -> None:
    paths = {
        "overview": "/admin/",
        "training": address(training),
        "step": f"{address(training)}steps/invite/",
        "trainings": "/admin/fl_server_core/training/",
        "form": f"/admin/fl_server_core/training/{training.pk}/change/",
        "system": "/admin/system/",
    }
    for name, path in paths.items():
        page.goto(path)
        if name == "training":
            page.locator("figure.plot[data-drawn]").nth(4).wait_for()
        page.wait_for_load_state("networkidle")
        assert_fits_everyone(page, name)


def test_curves_grow_and_the_sentence_follows_without_a_reload(page: Page, training: Training) -> None:
    page.goto(address(training))
    page.evaluate("document.body.dataset.stayed = 'yes'")
    readout = page.locator("figure.plot .readout").first
    expect(readout).to_contain_text("round 1: mean 0.71")
    expect(page.locator(".standing")).to_contain_text("waiting for clinic-2 and clinic-3")
    report(training, 2)
    make_submission(training, training.participants.get(username="clinic-2"), round=2, is_silent=True)
    expect(readout).to_contain_text("round 2: mean 0.81", timeout=PATIENCE)
    expect(page.locator(".standing")).to_contain_text("waiting for clinic-3; opened")
    assert page.locator("body").get_attribute("data-stayed") == "yes"


def test_a_plot_is_read_by_keys_as_a_table_and_by_participant(page: Page, training: Training) -> None:
    page.goto(address(training))
    plot = page.locator("figure.plot").first
    canvas = plot.locator("canvas")
    expect(canvas).to_have_attribute(
        "aria-label",
        "accuracy, of the global model. mean 0.61 in round 0, 0.71 in "
        "round 1. The arrow keys read single values; the table below has all.",
    )
    canvas.press("ArrowRight")
    expect(plot.locator(".readout")).to_contain_text("round 0: mean 0.61 (0.6018 to 0.6182)")
    plot.locator("summary").click()
    cells = plot.locator("details tbody tr").first.locator("th, td")
    expect(cells).to_have_text(["0", "0.61", "0.008165", "0.6", "0.62", "3"])
    plot.get_by_label("Each participant").check()
    plot.locator("select").select_option("clinic-3")
    expect(plot.locator(".readout")).to_contain_text("clinic-3 0.62")


def test_what_rounds_took_and_who_is_off_can_be_seen(page: Page, training: Training) -> None:
    page.goto(address(training))

    def plot(title: str) -> Locator:
        return page.locator("figure.plot", has=page.locator("figcaption", has_text=title))

    times = plot("seconds of each update round").locator(".readout")
    expect(times).to_have_text("round 2: waiting 80, notifying 5, computing 15")
    norm = plot("norm of each update")
    expect(norm.locator(".readout")).to_have_text(
        "round 2: median 1.25 (1 to 9), farthest from the median: clinic-3 (9)"
    )
    norm.get_by_label("Each participant").check()
    norm.locator("select").select_option("clinic-2")
    expect(norm.locator(".readout")).to_contain_text("clinic-2 1.25")
    expect(plot("cosine between").locator(".readout")).to_contain_text("median: clinic-3 (-0.5)")


def test_curves_are_smoothed_on_demand(page: Page, training: Training) -> None:
    page.goto(address(training))
    plot = page.locator("#metrics figure.plot").first
    expect(plot.locator(".readout")).to_contain_text("round 1: mean 0.71")
    page.get_by_label("Smoothing").select_option("0.6")
    # 0.6 of 0.61 and 0.4 of 0.71
    expect(plot.locator(".readout")).to_contain_text("round 1: smoothed 0.65, mean 0.71")
    page.get_by_label("Smoothing").select_option("")
    expect(plot.locator(".readout")).to_contain_text("round 1: mean 0.71")


def test_a_training_is_stopped_and_another_resumed_by_buttons_that_ask_first(page: Page, training: Training) -> None:
    page.goto(address(training))
    page.get_by_role("link", name="Stop …").click()
    page.get_by_role("link", name="Back, change nothing").click()
    expect(page.locator(".standing .state")).to_have_text("ongoing")
    page.get_by_role("link", name="Stop …").click()
    page.get_by_role("button", name="Stop").click()
    expect(page.locator(".standing .state")).to_have_text("completed")
    page.goto("/admin/")
    page.get_by_role("link", name="hearts").click()
    page.get_by_role("link", name="Resume …").click()
    page.get_by_role("button", name="Resume").click()
    expect(page.locator(".standing .state")).to_have_text("ongoing")


def test_times_are_the_readers_and_an_id_is_copied(page: Page, context: BrowserContext, training: Training) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto("/admin/fl_server_core/training/")
    expect(page.locator("[data-zone]")).to_have_text(ZONE)
    shown = page.locator(f"tr:has-text('lungs') time[datetime='{training.last_update.isoformat()}']")
    # In November the clocks of New York are five hours behind, in summer four.
    hours = page.evaluate("new Date(arguments[0]).getTimezoneOffset() / 60".replace("arguments[0]", "Date.now()"))
    expect(shown).to_have_text(f"{training.last_update - timedelta(hours=hours):%Y-%m-%d %H:%M:%S}")
    page.get_by_role("button", name=f"Copy the id {training.pk}").click()
    assert page.evaluate("navigator.clipboard.readText()") == str(training.pk)


def test_no_column_of_a_list_is_cut_on_a_desk(page: Page, training: Training) -> None:
    for kind in ("training", "delivery", "round", "event"):
        page.goto(f"/admin/fl_server_core/{kind}/")
        sizes = page.locator("#changelist .results").evaluate("one => [one.scrollWidth, one.clientWidth]")
        assert (kind, sizes[0] - sizes[1]) == (kind, 0)


def test_an_outsider_is_sent_to_the_login(context: BrowserContext, live_server: LiveServer, training: Training) -> None:
    context.clear_cookies()
    sign_in(context, make_user("outsider"), live_server.url)
    page = context.new_page()
    page.goto(address(training))
    expect(page.locator("[name=username]")).to_be_visible()
    assert "lungs" not in page.inner_text("body")
