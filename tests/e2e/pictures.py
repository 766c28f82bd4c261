"""Makes the pictures of the pages that the documents show, in docs/images/: `make pictures`.

python -m tests.e2e.pictures
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import django
from PIL import Image
from playwright.sync_api import Browser, Page

from tests.e2e.sites import Site, embedded

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "images"
SETTINGS = "fl_server.settings.development"
DESK = (1120, 900)
MOST_KB = 150
ACTOR, PASSWORD = "anna", "a-long-password-of-the-actor"


def make_training(site: Site) -> str:
    wanted = ["--participants", "12", "--rounds", "60", "--password", PASSWORD]
    command = [sys.executable, "manage.py", "create_large_training", *wanted]
    environment = os.environ | site.environment
    made = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=True, text=True)
    found = re.search(r"Training (\S+):", made.stdout)
    assert found is not None, made.stdout
    return found[1]


def signed_in(browser: Browser, url: str, width: int, height: int, *, is_dark: bool) -> Page:
    page = browser.new_page(base_url=url, viewport={"width": width, "height": height})
    page.emulate_media(color_scheme="dark" if is_dark else "light")
    page.goto("/sign-in/")
    page.get_by_label("Username").fill(ACTOR)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.locator("table").first.wait_for()
    return page


def keep(page: Page, name: str) -> None:
    """In 256 colours: pages have few, and a third of the bytes is enough."""
    path = FOLDER / f"{name}.png"
    taken = Image.open(io.BytesIO(page.screenshot(animations="disabled"))).convert("RGB")
    taken.quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(path, optimize=True)
    size = path.stat().st_size // 1000
    sys.stdout.write(f"{path.relative_to(ROOT)}: {size} KB\n")
    if size >= MOST_KB:
        raise SystemExit(f"{path.name} is too large: a picture may have {MOST_KB} KB.")


def drawn(page: Page, address: str, plots: int) -> None:
    """Open a page, and wait until so many of its plots are drawn."""
    page.goto(address)
    page.locator("figure.plot[data-drawn]").nth(plots - 1).wait_for()


def picture_the_actors_pages(browser: Browser, url: str, training: str) -> None:
    """A training that runs, as its actor sees it."""
    page = signed_in(browser, url, *DESK, is_dark=False)
    drawn(page, f"/trainings/{training}/", 5)
    keep(page, "training")
    page.get_by_role("heading", name="Rounds and updates").scroll_into_view_if_needed()
    page.mouse.wheel(0, 620)
    page.wait_for_timeout(500)
    keep(page, "updates")
    page = signed_in(browser, url, 390, 760, is_dark=True)
    drawn(page, f"/trainings/{training}/", 5)
    keep(page, "telephone")


def picture_the_admin(browser: Browser, url: str, training: str) -> None:
    """What staff see: the same training, a model, a comparison, alert rules, and how the server is."""
    from tests.builders.clients import make_operator
    from tests.e2e.browser import sign_in
    from tests.e2e.pictured_rows import make_shown

    shown = make_shown(ACTOR)
    width, height = DESK
    context = browser.new_context(base_url=url, viewport={"width": width, "height": height})
    sign_in(context, make_operator(), url)
    page = context.new_page()
    drawn(page, f"/admin/trainings/{training}/", 5)
    keep(page, "admin-training")
    drawn(page, f"/admin/models/{shown.model.pk}/", 2)
    keep(page, "model")
    chosen = "&".join(f"id={one.pk}" for one in shown.trainings)
    page.set_viewport_size({"width": width, "height": 1200})
    drawn(page, f"/admin/trainings/compare/?{chosen}", 2)
    keep(page, "comparison")
    page.set_viewport_size({"width": width, "height": 780})
    page.goto("/admin/fl_server_core/alertrule/")
    keep(page, "alerts")
    page.set_viewport_size({"width": width, "height": 340})
    page.goto("/admin/system/")
    keep(page, "health")


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="fl-pictures-") as folder, embedded(Path(folder)) as (site, _server):
        training = make_training(site)
        # Playwright runs a loop in this thread, beside which Django would refuse to ask the database.
        os.environ |= {"DJANGO_ALLOW_ASYNC_UNSAFE": "true", "DJANGO_SETTINGS_MODULE": SETTINGS, **site.environment}
        django.setup()
        from tests.e2e.browser import chromium  # which needs the rows' classes
        from tests.e2e.pictured_rows import name_as_clinics

        name_as_clinics(training, ACTOR)
        with chromium() as browser:
            picture_the_actors_pages(browser, site.url, training)
            picture_the_admin(browser, site.url, training)


if __name__ == "__main__":
    main()
