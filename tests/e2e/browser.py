"""Debian's Chromium for the tests that open pages, and a page of it that is signed in."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from django.db import connections
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from fl_server_core.models import User

# Root may not use Chromium's own sandbox; the rest keeps it from asking its maker's servers for things.
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
PATIENCE = 15_000.0  # milliseconds: a page asks for news every three seconds
WIDTHS = (1280, 390)
THEMES = ("light", "dark")
SCREENSHOTS = os.environ.get("SCREENSHOTS", "")
"""The folder that keeps a picture of every page that is looked at; none without it."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser; the test is skipped where there is none."""
    program = shutil.which("chromium")
    if program is None:
        if os.environ.get("REQUIRE_SERVICES"):
            pytest.fail("There is no Chromium: make browser installs it.")
        pytest.skip("there is no Chromium: make browser installs it")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()
            # Beside a running loop Django opened others than this thread has elsewhere; it closes none there by itself.
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
                connections.close_all()


def sign_in(context: BrowserContext, user: User, address: str) -> None:
    """Without the form, and without its slow hash."""
    client = Client()
    client.force_login(user)
    session = client.cookies[settings.SESSION_COOKIE_NAME].value
    context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": address}])


def heard_on(page: Page, address: str) -> list[str]:
    """What the page complains of from now on: errors in the console, and requests that leave the host."""
    heard: list[str] = []
    page.on("console", lambda message: heard.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: heard.append(str(error)))

    def see(url: str) -> None:
        if urlsplit(url).netloc not in ("", urlsplit(address).netloc):
            heard.append(f"It asks another host: {url}")

    page.on("request", lambda request: see(request.url))
    return heard


def barriers(page: Page, *rules: str) -> list[str]:
    """What axe finds serious or critical on the page as it is now, by these rules or by all that it has."""
    settle(page)
    options: dict[str, Any] = {"resultTypes": ["violations"], "preload": False}  # its preloading asks wrong addresses
    if rules:
        options["runOnly"] = list(rules)
    found: dict[str, Any] = Axe().run(page, options=options).response
    return [
        f"{one['id']}: {node['html'][:200]}"
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


def assert_fits_everyone(page: Page, name: str) -> None:
    """The page as it is has no barriers in either theme, and is not wider than a desk's and a telephone's window."""
    for theme in THEMES:
        page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            keep_picture(page, f"{name}-{width}-{theme}")
            assert overflow(page) == 0, f"{name} at {width} pixels"
        rules = ("color-contrast", "link-in-text-block") if theme == "dark" else ()  # the rest is the same in both
        found = barriers(page, *rules)
        assert found == [], f"{name}, {theme}: {found}"


def settle(page: Page) -> None:
    """Wait until nothing moves: after a change of the theme, links fade from one colour to the other."""
    page.evaluate("Promise.all(document.getAnimations().map(one => one.finished.catch(() => null))).then(() => null)")


def overflow(page: Page) -> int:
    """By how many pixels the page is wider than the window."""
    wider: int = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    return max(0, wider)


def keep_picture(page: Page, name: str) -> None:
    if SCREENSHOTS:
        page.screenshot(path=Path(SCREENSHOTS) / f"{name}.png", full_page=True, animations="disabled")
