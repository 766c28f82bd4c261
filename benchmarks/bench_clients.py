"""How long requests take where many clients send them at once: an embedded server on SQLite, one phase for each kind.

Prints requests a second, median, p99, their ratio, the worst, and the number of answers other than the one expected.

python benchmarks/bench_clients.py [--clients 16] [--seconds 10]
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlencode

import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # run as a file: only its own folder is on the path

from fl_server_client import Actor

from tests.e2e.sites import Account, Site, embedded

MOST_REQUESTS = 20_000  # of a client in a phase
TIMEOUT_SECONDS = 60
BOUNDARY = "bench-boundary"
TARGET_RATIO = 10

Call = tuple[str, str, bytes, dict[str, str]]
"""Method, path, body and headers of a request."""


@dataclass
class Phase:
    """What all clients send; `call` makes the next request of a client."""

    name: str
    expected: int
    call: Callable[[int], Call]
    seconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)


def run(phase: Phase, address: str, clients: int, seconds: float) -> None:
    """Each client in a thread of its own, on one connection, one request after the other."""
    start = threading.Barrier(clients)
    threads = [
        threading.Thread(target=_send, args=(phase, address, number, start, seconds), daemon=True)
        for number in range(clients)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _send(phase: Phase, address: str, number: int, start: threading.Barrier, seconds: float) -> None:
    times: list[float] = []
    statuses: Counter[int] = Counter()
    with closing(HTTPConnection(address, timeout=TIMEOUT_SECONDS)) as connection:
        start.wait()
        end = time.perf_counter() + seconds
        while time.perf_counter() < end and len(times) < MOST_REQUESTS:
            method, path, body, headers = phase.call(number)
            began = time.perf_counter()
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            answer.read()
            times.append(time.perf_counter() - began)
            statuses[answer.status] += 1
    phase.seconds.extend(times)
    phase.statuses.update(statuses)


def report(phase: Phase, seconds: float) -> None:
    times = sorted(phase.seconds)
    median, p99 = statistics.median(times), times[math.ceil(0.99 * len(times)) - 1]
    failures = sum(count for status, count in phase.statuses.items() if status >= 500)
    others = {status: count for status, count in phase.statuses.items() if status not in (phase.expected,)}
    print(
        f"{phase.name:<22} {len(times) / seconds:7.0f}/s   median {median:.4f} s   p99 {p99:.4f} s "
        f"({p99 / median:.1f} times)   worst {times[-1]:.3f} s   5xx: {failures}{f'   {others}' if others else ''}"
    )


def phases(site: Site, clients: int, folder: Path) -> Iterator[Phase]:
    """The five kinds of requests; those of a training go to one with more participants than clients: it stays open."""
    accounts = site.make_users([""] * (clients + 2))
    actor, people = accounts[0], accounts[1:]
    with closing(Actor(site.url, token=actor.token)) as client:
        model = client.upload_model(torch.nn.Linear(4, 2), "tiny")
        training = client.create_training(model, rounds=1, participants=[one.id for one in people])
        client.start(training)
    file = folder / "update.pt"
    torch.save(torch.nn.Linear(4, 2), file)
    update, content_type = _multipart({"round": "0", "sample_size": "1"}, "model_file", file.read_bytes())
    metrics = urlencode({"metric_names": "loss", "metric_values": "0.5"}).encode()
    form = "application/x-www-form-urlencoded"
    names = itertools.count()

    def reading(number: int) -> Call:
        return "GET", f"/api/trainings/{training}/", b"", _headers(people[number])

    def downloading(number: int) -> Call:
        return "GET", f"/api/models/{model}/", b"", _headers(people[number])

    def posting_metrics(number: int) -> Call:
        return "POST", f"/api/models/{model}/metrics/", metrics, _headers(people[number]) | {"Content-Type": form}

    def uploading(number: int) -> Call:
        return "POST", f"/api/models/{model}/", update, _headers(people[number]) | {"Content-Type": content_type}

    def registering(_number: int) -> Call:
        body = json.dumps({"username": f"bench-{next(names)}", "password": "a-Long-password-1"}).encode()
        return "POST", "/api/users/", body, {"Content-Type": "application/json"}

    yield Phase("reading a training", 200, reading)
    yield Phase("downloading a model", 200, downloading)
    yield Phase("posting metrics", 201, posting_metrics)
    yield Phase("uploading an update", 201, uploading)
    yield Phase("registering", 201, registering)


def _headers(account: Account) -> dict[str, str]:
    return {"Authorization": f"Token {account.token}"}


def _multipart(fields: dict[str, str], name: str, content: bytes) -> tuple[bytes, str]:
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode()
        for key, value in fields.items()
    ]
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"; filename="{name}.pt"\r\n\r\n'.encode()
    tail = f"\r\n--{BOUNDARY}--\r\n".encode()
    return b"".join([*parts, head, content, tail]), f"multipart/form-data; boundary={BOUNDARY}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each phase")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fl-bench-") as name, embedded(Path(name)) as (site, _server):
        print(f"{arguments.clients} clients at once, {arguments.seconds:g} s for each kind of request")
        print(f"Wanted: no 5xx, and a p99 below {TARGET_RATIO} times the median.")
        for phase in phases(site, arguments.clients, Path(name)):
            run(phase, site.url.removeprefix("http://"), arguments.clients, arguments.seconds)
            report(phase, arguments.seconds)


if __name__ == "__main__":
    main()
