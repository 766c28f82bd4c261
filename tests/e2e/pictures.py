"""Makes the pictures of the pages that the documents show, in docs/images/: `make pictures`.

python -m tests.e2e.pictures
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import django
from playwright.sync_api import Browser, Page

from tests.e2e.sites import Site, embedded

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "images"
ACTOR, PASSWORD = "large-actor", "a-long-password-of-the-actor"


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
    path = FOLDER / f"{name}.png"
    page.screenshot(path=path, animations="disabled")
    sys.stdout.write(f"{path.relative_to(ROOT)}: {path.stat().st_size // 1024} KB\n")


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="fl-pictures-") as folder, embedded(Path(folder)) as (site, _server):
        training = make_training(site)
        os.environ |= {"DJANGO_SETTINGS_MODULE": "fl_server.settings.development", **site.environment}
        django.setup()
        from tests.e2e.browser import chromium  # which needs the rows' classes

        with chromium() as browser:
            page = signed_in(browser, site.url, 1120, 900, is_dark=False)
            page.goto(f"/trainings/{training}/")
            page.locator("figure.plot[data-drawn]").nth(4).wait_for()
            keep(page, "training")
            page.get_by_role("heading", name="Rounds and updates").scroll_into_view_if_needed()
            page.mouse.wheel(0, 620)
            page.wait_for_timeout(500)
            keep(page, "updates")
            page = signed_in(browser, site.url, 390, 760, is_dark=True)
            page.goto(f"/trainings/{training}/")
            page.locator("figure.plot[data-drawn]").nth(4).wait_for()
            keep(page, "telephone")


if __name__ == "__main__":
    main()
