"""How long an honest request takes while strangers hold connections: half a header, half a body, or not reading.

Prints medians with and without them, and their ratio, for the embedded server and, where PostgreSQL and Redis answer,
for many processes.

python benchmarks/bench_strangers.py [--strangers 1000] [--requests 100]
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # run as a file: only its own folder is on the path
os.environ |= {"DJANGO_SETTINGS_MODULE": "tests.settings", "FL_TEST_DATABASE": "postgres"}

from fl_server.processes.limits import allow_many_files
from tests.builders.strangers import KINDS, strangers
from tests.e2e.sites import Site, distributed, embedded
from tests.services import missing_services

TIMEOUT_SECONDS = 30
SETTLE_SECONDS = 3.0  # those who ask for a page are served first
TARGET_RATIO = 2
WEB_PROCESSES = 2


def median_of(address: str, token: str, requests: int) -> float:
    """Seconds of one request, each on a connection of its own."""
    times = []
    for _ in range(requests):
        started = time.perf_counter()
        with closing(HTTPConnection(address, timeout=TIMEOUT_SECONDS)) as connection:
            connection.request("GET", "/api/users/myself/", headers={"Authorization": f"Token {token}"})
            answer = connection.getresponse()
            answer.read()
        times.append(time.perf_counter() - started)
        if answer.status != 200:
            raise SystemExit(f"The honest request was answered with {answer.status}.")
    return statistics.median(times)


def run(site: Site, count: int, requests: int) -> None:
    """Each kind of strangers, then all kinds at once; the requests without them are measured beside each."""
    (account,) = site.make_users([""])
    address = site.url.removeprefix("http://")
    print(f"{site.name}, {count} strangers")
    median_of(address, account.token, requests)  # the first requests of each thread are slow
    mixed = {"all three": tuple(KINDS.values())}
    for name, kinds in {**{name: (sent,) for name, sent in KINDS.items()}, **mixed}.items():
        without = median_of(address, account.token, requests)
        with ExitStack() as stack:
            for sent in kinds:
                stack.enter_context(strangers(site.url, sent, count // len(kinds)))
            time.sleep(SETTLE_SECONDS)
            beside = median_of(address, account.token, requests)
        time.sleep(SETTLE_SECONDS)
        print(f"  {name:<15} {without:.4f} s alone, {beside:.4f} s beside them: {beside / without:.2f} times")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--strangers", type=int, default=1000)
    parser.add_argument("--requests", type=int, default=100)
    arguments = parser.parse_args()
    allow_many_files()
    print(f"Wanted: below {TARGET_RATIO} times.")
    prefix = "fl-bench-"
    with tempfile.TemporaryDirectory(prefix=prefix) as one, tempfile.TemporaryDirectory(prefix=prefix) as another:
        with embedded(Path(one)) as (site, _server):
            run(site, arguments.strangers, arguments.requests)
        missing = missing_services()
        if missing:
            print(f"Many processes were not measured: {' '.join(missing)}")
            return
        with distributed(Path(another), web_processes=WEB_PROCESSES) as site:
            run(site, arguments.strangers, arguments.requests)


if __name__ == "__main__":
    main()
