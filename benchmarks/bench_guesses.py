"""What guesses of one account's password cost the embedded server, and whether its owner is locked out.

Prints the share of one core that the server takes while guesses arrive at a steady rate, and beside it while as many
requests without credentials do.

python benchmarks/bench_guesses.py [--rate 100] [--seconds 10]
"""

from __future__ import annotations

import argparse
import base64
import json
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # run as a file: only its own folder is on the path

from tests.e2e.sites import embedded
from tests.processor import processor_seconds

USERNAME, PASSWORD = "bench-owner", "a-long-password-of-the-owner"
PATH = "/api/users/myself/"
HERE, ELSEWHERE = "127.0.0.1", "127.0.0.2"
TARGET_SHARE = 0.05


def basic(password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{USERNAME}:{password}".encode()).decode()}


def send(
    connection: HTTPConnection, headers: dict[str, str], method: str = "GET", path: str = PATH, body: str = ""
) -> int:
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    answer.read()
    return answer.status


def share_of_a_core(
    address: str, pid: int, headers: dict[str, str], rate: int, seconds: int
) -> tuple[float, Counter[int]]:
    """Requests at a steady rate over one connection; processor time for each second that passes, and the answers."""
    statuses: Counter[int] = Counter()
    with closing(HTTPConnection(address, timeout=30, source_address=(HERE, 0))) as connection:
        started, before = time.perf_counter(), processor_seconds(pid)
        for number in range(rate * seconds):
            time.sleep(max(0.0, started + number / rate - time.perf_counter()))
            statuses[send(connection, headers)] += 1
        return (processor_seconds(pid) - before) / (time.perf_counter() - started), statuses


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=100)
    parser.add_argument("--seconds", type=int, default=10)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fl-bench-") as folder, embedded(Path(folder)) as (site, server):
        address, pid = site.url.removeprefix("http://"), server.process.pid
        with closing(HTTPConnection(address, timeout=30, source_address=(ELSEWHERE, 0))) as connection:
            about = json.dumps({"username": USERNAME, "password": PASSWORD})
            send(connection, {"Content-Type": "application/json"}, "POST", "/api/users/", about)
            print(f"{arguments.rate} requests a second for {arguments.seconds} s. Wanted: below {TARGET_SHARE:.0%}.")
            share_of_a_core(address, pid, basic("wrong"), 20, 1)  # the first ten are hashed
            idle = share_of_a_core(address, pid, {}, 1, arguments.seconds)[0]
            guesses, answers = share_of_a_core(address, pid, basic("wrong"), arguments.rate, arguments.seconds)
            plain, _ = share_of_a_core(address, pid, {}, arguments.rate, arguments.seconds)
            print(f"  idle                    {idle:6.1%} of one core")
            print(f"  guesses                 {guesses:6.1%} of one core, {dict(answers)}")
            print(f"  what the guesses cost   {guesses - idle:6.1%} of one core")
            print(
                f"  without credentials     {plain:6.1%} of one core; guesses take {guesses / plain:.2f} times as much"
            )
            print(f"  the owner, from another address: {send(connection, basic(PASSWORD))}")


if __name__ == "__main__":
    main()
