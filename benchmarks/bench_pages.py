"""What the page of a large training costs: opening, statements, drawing, and the refreshes of a tab left open.

Prints the processor time of the server for each refresh that finds nothing new, and how many times that of a plain
request (the caller's own row) it is, measured in the same run.

python benchmarks/bench_pages.py [--participants 100] [--rounds 1000] [--refreshes 300]
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import requests

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # run as a file: only its own folder is on the path

from tests.e2e.sites import Site, embedded
from tests.processor import processor_ms

ACTOR, PASSWORD = "large-actor", "a-long-password-of-the-actor"
REPEAT = 5
TARGET_SECONDS, TARGET_STATEMENTS, TARGET_DRAWING_MS, TARGET_REFRESH_MS = 1.0, 12, 300, 5.0


def make_training(site: Site, participants: int, rounds: int) -> str:
    wanted = ["--participants", str(participants), "--rounds", str(rounds), "--password", PASSWORD]
    made = subprocess.run(
        [sys.executable, "manage.py", "create_large_training", *wanted],
        cwd=ROOT, env=os.environ | site.environment, capture_output=True, check=True, text=True,
    )  # fmt: skip
    found = re.search(r"Training (\S+):", made.stdout)
    assert found is not None, made.stdout
    return found[1]


def sign_in(url: str) -> requests.Session:
    session = requests.Session()
    session.get(f"{url}/sign-in/", timeout=30)
    form = {"username": ACTOR, "password": PASSWORD, "csrfmiddlewaretoken": session.cookies["csrftoken"]}
    session.post(f"{url}/sign-in/", form, timeout=30).raise_for_status()
    return session


def seconds_of(ask: Callable[[], requests.Response]) -> list[float]:
    """For each of a few times, the seconds until the answer is there."""
    found = []
    for _ in range(REPEAT):
        started = time.perf_counter()
        ask().raise_for_status()
        found.append(time.perf_counter() - started)
    return found


def statements(site: Site, path: str) -> int:
    """Counted in this process, on the server's database."""
    os.environ |= {"DJANGO_SETTINGS_MODULE": "fl_server.settings.development", "FL_ACCESS_LOG": "false"}
    os.environ |= site.environment
    import django

    django.setup()
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    from fl_server_core.models import User

    client = Client(SERVER_NAME="localhost")
    client.force_login(User.objects.get(username=ACTOR))
    assert client.get(path).status_code == 200
    with CaptureQueriesContext(connection) as captured:
        client.get(path)
    return len(captured)


def drawing(url: str, path: str, session: requests.Session) -> list[float] | None:
    """Milliseconds that the slowest plot takes: alone, and with each participant's line. None: Chromium is missing."""
    if shutil.which("chromium") is None:
        return None
    from tests.e2e.browser import chromium

    with chromium() as browser:
        context = browser.new_context(base_url=url, viewport={"width": 1280, "height": 900})
        context.add_cookies([{"name": "sessionid", "value": session.cookies["sessionid"], "url": url}])
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.goto(path)
        page.locator("#metrics figure.plot[data-drawn]").nth(1).wait_for()
        slowest = "Math.max(...[...document.querySelectorAll('[data-drawn]')].map((one) => Number(one.dataset.drawn)))"
        alone: Any = page.evaluate(slowest)
        page.get_by_label("Each participant").first.check()
        page.locator("figure.plot select option").nth(1).wait_for(state="attached")
        return [float(alone), float(page.evaluate(slowest))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--participants", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--refreshes", type=int, default=300)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fl-bench-") as folder, embedded(Path(folder)) as (site, server):
        training = make_training(site, arguments.participants, arguments.rounds)
        session, path = sign_in(site.url), f"/trainings/{training}/"
        print(f"{arguments.participants} participants, {arguments.rounds} rounds, SQLite.")

        def ask(end: str, headers: dict[str, str] | None = None) -> requests.Response:
            return session.get(f"{site.url}{path}{end}", headers=headers, timeout=60)

        opening = seconds_of(lambda: ask(""))
        print(f"  open the page      {statistics.median(opening):7.3f} s    (wanted: below {TARGET_SECONDS:g})")
        for what in ("curves/", "rounds/"):
            first, *others = seconds_of(partial(ask, what))
            print(f"  {what:<18} {first:7.3f} s    the first time, then {statistics.median(others):.3f} s")
        known = {"If-None-Match": ask("state/").headers["ETag"]}
        pid, times = server.process.pid, arguments.refreshes
        refresh = processor_ms(pid, lambda: ask("state/", known), times, 304)
        plain = processor_ms(pid, lambda: session.get(f"{site.url}/api/users/myself/", timeout=60), times, 200)
        print(f"  a refresh (304)    {refresh:7.2f} ms   of processor time (wanted: below {TARGET_REFRESH_MS:g})")
        print(f"  a plain request    {plain:7.2f} ms   a refresh takes {refresh / plain:.2f} times as much")
        print(f"  statements         {statements(site, path):7d}      (wanted: at most {TARGET_STATEMENTS})")
        drawn = drawing(site.url, path, session)
        if drawn is None:
            print("  drawing                  –      Chromium is not installed")
        else:
            print(f"  drawing a plot     {drawn[0]:7.1f} ms   (wanted: below {TARGET_DRAWING_MS})")
            print(f"  with each line     {drawn[1]:7.1f} ms")


if __name__ == "__main__":
    main()
