"""The pages of models and the comparison of trainings in a real browser."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from playwright.sync_api import BrowserContext, Page, expect
from pytest_django.live_server_helper import LiveServer

from fl_server_core.models import EventKind, GlobalModel, Training, User
from fl_server_core.models.model_version import append_version, store_weights
from tests.builders.clients import make_operator
from tests.builders.files import pickled_linear, scripted
from tests.builders.rows import (
    make_delivery,
    make_event,
    make_mean_model,
    make_metric,
    make_model,
    make_round,
    make_running,
    make_submission,
    make_training,
    make_user,
)
from tests.e2e.browser import THEMES, WIDTHS, barriers, chromium, keep_picture, overflow, sign_in

pytestmark = [
    pytest.mark.once,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("may_use_rows_here"),
]
BEST = {"lungs": (0.52, 0.7, 0.83, 0.85, 0.91, 0.92, 0.93, 0.93, 0.92, 0.94), "hearts": (0.5, 0.6, 0.7),
        "bones": (0.4, 0.77, 0.97, 0.9)}  # fmt: skip


def person(name: str) -> User:
    """The one of this name, who is made when first asked for."""
    return User.objects.filter(username=name).first() or make_user(name)


@pytest.fixture
def actor(transactional_db: None) -> User:
    return make_user("actor")


@pytest.fixture
def model(actor: User) -> GlobalModel:
    """Four versions with accuracy and loss, of which each participant reported its own."""
    model: GlobalModel = make_model(actor, name="tumour classifier", weights=pickled_linear(0.0), input_shape=[None, 3])
    for value in (0.5, 0.8, 0.9):
        append_version(model, store_weights(pickled_linear(value)))
    model.versions.filter(number=1).update(name="before the holidays", pinned=True)
    for version in model.versions.all():
        for index in range(3):
            clinic = person(f"clinic-{index + 1}")
            for key, value in (("accuracy", 0.6 + 0.1 * version.number), ("loss", 2.0 / (version.number + 1))):
                make_metric(model, key, value + 0.02 * index, reporter=clinic, version=version, is_test=True)
    return model


@pytest.fixture
def trainings(actor: User) -> list[Training]:
    """lungs runs and waits for clinic-2, hearts failed, bones had the best round."""
    clinics = [person(f"clinic-{index}") for index in (1, 2)]
    return [made(actor, clinics, name) for name in BEST]


def made(actor: User, clinics: list[User], name: str) -> Training:
    values = BEST[name]
    model = make_model(actor, name=name, round=len(values))
    rest = {"model": model, "target_num_updates": 40, "options": {"aggregation": {"clipping_norm": len(values)}}}
    if name == "lungs":
        training = make_running(actor, clinics, **rest)
        make_submission(training, clinics[0], round=len(values), is_silent=True)
        make_delivery(training, clinics[1], round=len(values), status="accepted")
    else:
        training = make_training(actor, clinics, state="E" if name == "hearts" else "C", first_round=0, **rest)
    if name == "hearts":
        make_round(training, number=3, opened_at=training.created_at)
        make_event(training, EventKind.FAILED, round=3, message="At the deadline 1 of 2 participants had submitted.")
    for number, accuracy in enumerate(values, 1):
        for clinic in clinics:
            make_metric(model, "accuracy", accuracy, reporter=clinic, step=number)
    return training


@pytest.fixture
def context(transactional_db: None, live_server: LiveServer) -> Iterator[BrowserContext]:
    with chromium() as browser:
        opened = browser.new_context(base_url=live_server.url, viewport={"width": 1280, "height": 900})
        sign_in(opened, make_operator(), live_server.url)
        yield opened


def address(model: GlobalModel, end: str = "") -> str:
    return f"/admin/models/{model.pk}/{end}"


def comparison(trainings: list[Training]) -> str:
    return "/admin/trainings/compare/?" + "&".join(f"id={training.pk}" for training in trainings)


def look(page: Page, name: str) -> None:
    """Both themes and widths: nothing is wider than the window, and axe finds nothing serious."""
    page.wait_for_load_state("networkidle")
    for theme in THEMES:
        page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            keep_picture(page, f"{name}-{width}-{theme}")
            assert (overflow(page), name, width) == (0, name, width)
        rules = ("color-contrast", "link-in-text-block") if theme == "dark" else ()  # the rest is the same in both
        assert (barriers(page, *rules), name, theme) == ([], name, theme)
    page.set_viewport_size({"width": 1280, "height": 900})


def test_no_page_has_barriers_or_is_wider_than_the_window(
    page: Page, model: GlobalModel, trainings: list[Training]
) -> None:
    paths = {
        "model": address(model),
        "model-layers": address(model, "file/"),
        "model-difference": address(model, "difference/?first=0&second=3"),
        "model-try": address(model, "try/"),
        "model-step": address(model, "versions/0/describe/"),
        "compare": comparison(trainings),
    }
    for name, path in paths.items():
        page.goto(path)
        if name in ("model", "compare"):
            page.locator("figure.plot[data-drawn]").first.wait_for()
        look(page, name)


def test_a_model_is_tried_with_numbers_and_its_uncertainty_is_drawn(page: Page, actor: User) -> None:
    members = [make_model(actor, weights=pickled(*biases)) for biases in ((0.1, 0.7, 0.2), (0.3, 0.5, 0.2))]
    mean = make_mean_model(actor, members, name="two doctors")
    page.goto(address(mean))
    page.get_by_role("link", name="Try it").click()
    page.get_by_label("Numbers as JSON").fill("[[1, 0, 0]]")
    page.get_by_role("button", name="Ask").click()
    expect(page.get_by_role("heading", name="Most likely: class 1, 0.6 ± 0.1414.")).to_be_visible()
    cells = page.locator(".answer tbody tr").nth(1).locator("th, td")
    expect(cells).to_have_text(["1", "", "0.6", "0.1414"])
    assert page.locator(".answer svg.bar rect").nth(1).get_attribute("width") == "120.0"  # 0.6 of 200
    expect(page.get_by_text("Mutual information: the part that lies in the model")).to_be_visible()
    look(page, "model-answer")
    page.get_by_label("Numbers as JSON").fill("[[1, 0], [2]]")
    page.get_by_role("button", name="Ask").click()
    expect(page.get_by_role("alert")).to_contain_text("the list's rows differ in length")


def pickled(*biases: float) -> bytes:
    layer = torch.nn.Linear(3, len(biases))
    with torch.no_grad():
        layer.weight.zero_()
        layer.bias.copy_(torch.tensor(biases))
    return scripted(layer)


def picture(folder: Path) -> Path:
    """Two by two pixels, of which the lower left one is white."""
    path = folder / "scan.png"
    Image.fromarray(np.array([[0, 0], [255, 0]], dtype=np.uint8)).save(path)
    return path


def test_a_model_is_tried_with_an_image_that_is_chosen_and_one_that_is_dropped(
    page: Page, actor: User, tmp_path: Path
) -> None:
    brightest = scripted(torch.nn.Sequential(torch.nn.Flatten(0), torch.nn.Unflatten(0, (1, 4))))
    model = make_model(actor, name="brightest pixel", weights=brightest)
    page.goto(address(model, "try/"))
    scan = picture(tmp_path)
    page.get_by_label("Or a file").set_input_files(scan)
    expect(page.locator("[data-drop-hint]")).to_have_text("Chosen: scan.png")
    page.get_by_role("button", name="Ask").click()
    expect(page.get_by_role("heading", name="Most likely: class 2.")).to_be_visible()
    page.get_by_label("Method").select_option("MC_DROPOUT")
    drop(page, scan.read_bytes())
    expect(page.locator("[data-drop-hint]")).to_have_text("Chosen: dropped.png")
    page.get_by_role("button", name="Ask").click()
    expect(page.get_by_role("heading", name="Most likely: class 2, 1 ± 0.")).to_be_visible()
    expect(page.locator(".answer")).to_contain_text("All samples are the same")


def drop(page: Page, content: bytes) -> None:
    """As a hand drops a file there."""
    given = page.evaluate_handle(
        """numbers => {
            const dropped = new DataTransfer();
            dropped.items.add(new File([new Uint8Array(numbers)], "dropped.png", { type: "image/png" }));
            return dropped;
        }""",
        list(io.BytesIO(content).read()),
    )
    page.locator("[data-drop]").dispatch_event("drop", {"dataTransfer": given})


def test_a_version_is_compared_restored_and_named(page: Page, model: GlobalModel) -> None:
    page.goto("/admin/fl_server_core/globalmodel/")
    page.get_by_role("link", name="tumour classifier").click()
    expect(page.locator(".standing")).to_contain_text("Version 3 is the current one.")
    expect(page.locator("figure.plot figcaption")).to_have_text(["accuracy, by version", "loss, by version"])
    page.get_by_role("button", name="Compare").click()
    expect(page.locator(".standing")).to_contain_text("From version 0 to version 3 the tensors moved by 2.546")
    page.get_by_role("link", name="Versions", exact=True).click()
    page.get_by_role("link", name="Restore version 1").click()
    page.get_by_role("link", name="Back, change nothing").click()
    page.get_by_role("link", name="Restore version 1").click()
    page.get_by_role("button", name="Restore").click()
    expect(page.locator(".messagelist")).to_have_text("Version 1 restored as version 4.")
    expect(page.locator(".standing")).to_contain_text("Version 4 is the current one.")
    page.get_by_role("link", name="Name and pin version 4").click()
    page.get_by_label("Name").fill("as it was")
    page.get_by_label("Pinned").check()
    page.get_by_role("button", name="Name and pin").click()
    expect(page.locator("tbody tr").first).to_contain_text("as it was")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download version 1 (torch)").click()
    assert Path(download.value.path()).read_bytes() == pickled_linear(0.5)


def test_three_trainings_are_compared_from_the_list_and_by_the_link(page: Page, trainings: list[Training]) -> None:
    page.goto("/admin/fl_server_core/training/")
    for name in BEST:
        page.locator("#result_list tr", has_text=name).locator("input.action-select").check()
    page.locator("select[name=action]").select_option("compare")
    page.get_by_role("button", name="Run").or_(page.get_by_role("button", name="Go")).first.click()
    page.wait_for_url("**/admin/trainings/compare/**")
    link = page.url
    expect(page.locator(".standing")).to_have_text("Best: bones, accuracy 0.97 in round 3.")
    plot = page.locator("figure.plot")
    expect(plot.locator(".legend button")).to_have_count(3)
    expect(page.locator("table.options tbody tr th")).to_have_text(["aggregation.clipping_norm"])
    page.get_by_role("checkbox", name="hearts").uncheck()
    page.get_by_role("button", name="Compare").click()
    expect(plot.locator(".legend button")).to_have_count(2)
    page.goto(link)
    expect(plot.locator(".legend button")).to_have_count(3)


def test_a_newcomer_finds_each_answer_in_words(page: Page, trainings: list[Training]) -> None:
    lungs, hearts, _bones = trainings
    page.goto(f"/admin/trainings/{lungs.pk}/")
    expect(page.locator(".standing")).to_contain_text("waiting for clinic-2; opened")
    note = page.locator("figure.plot .note").first
    expect(note).to_have_text("accuracy rose from 0.91 to 0.94 in the last five rounds.")
    page.goto(f"/admin/trainings/{hearts.pk}/")
    expect(page.locator(".standing")).to_contain_text("At the deadline 1 of 2 participants had submitted.")
    page.goto(comparison(trainings))
    text = page.locator("#content").inner_text()
    assert "Best: bones, accuracy 0.97 in round 3." in text
    assert "Accuracy rose from 0.91 to 0.94 in the last five rounds." in text
    assert "At the deadline 1 of 2 participants had submitted." in text


def test_an_outsider_is_sent_to_the_login(
    context: BrowserContext, live_server: LiveServer, model: GlobalModel, trainings: list[Training]
) -> None:
    context.clear_cookies()
    sign_in(context, make_user("outsider"), live_server.url)
    page = context.new_page()
    for path in (address(model), address(model, "try/"), comparison(trainings)):
        page.goto(path)
        expect(page.locator("[name=username]")).to_be_visible()
        assert "tumour" not in page.inner_text("body")
