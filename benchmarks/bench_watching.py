"""What it costs to watch a server: the lines of requests, traces, and the figures that Prometheus asks for.

Prints the server's processor time for each request without lines and traces, with lines, and with both, in turns, and
what one answer of /metrics takes beside that, on an empty database and on a large one. Answers within a second of each
other share a look at the parts of the server, which is therefore not in the figure.

python benchmarks/bench_watching.py [--requests 200] [--scrapes 30] [--repeat 5] [--rounds 1000]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import requests

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # run as a file: only its own folder is on the path

from tests.collectors import collector
from tests.e2e.sites import Site, embedded
from tests.processor import processor_ms
from tests.server_process import ServerProcess, run_manage

NEITHER, LINES, BOTH = "neither", "lines", "lines and traces"
PARTICIPANTS = 100
Running = tuple[Site, ServerProcess]


def start_all(stack: ExitStack, port: int) -> dict[str, Running]:
    """All at once: they are measured in turns. Traces go to this port."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fl-bench-")))
    endpoint = f"http://127.0.0.1:{port}"
    wanted = {NEITHER: {"FL_ACCESS_LOG": "false"}, LINES: {}, BOTH: {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}}
    servers = {}
    for name, settings in wanted.items():
        (folder / name).mkdir()
        environment = {"FL_LOG_FORMAT": "json", **settings}
        servers[name] = stack.enter_context(embedded(folder / name, environment=environment))
    return servers


def asking(site: Site, path: str, **headers: str) -> Callable[[], requests.Response]:
    """Over one connection."""
    session = requests.Session()
    return lambda: session.get(site.url + path, headers=headers, timeout=60)


def costs_of_requests(servers: dict[str, Running], number: int, repeat: int) -> dict[str, float]:
    """Milliseconds of a plain request at each server, the least of several runs."""
    asks: dict[str, Callable[[], requests.Response]] = {}
    for name, (site, _) in servers.items():
        (account,) = site.make_users([""])
        asks[name] = asking(site, "/api/users/myself/", Authorization=f"Token {account.token}")
    runs = [
        {name: processor_ms(server.pid, asks[name], number, 200) for name, (_, server) in servers.items()}
        for _ in range(repeat)
    ]
    return {name: min(run[name] for run in runs) for name in servers}


def cost_of_a_scrape(running: Running, number: int, repeat: int) -> float:
    site, server = running
    scrape = asking(site, "/metrics")
    return min(processor_ms(server.pid, scrape, number, 200) for _ in range(repeat))


def make_large(site: Site, rounds: int) -> None:
    wanted = ("--participants", str(PARTICIPANTS), "--rounds", str(rounds))
    made = run_manage("create_large_training", *wanted, environment=site.environment)
    assert made.returncode == 0, made.stderr


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--scrapes", type=int, default=30)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=1000, help="of the large training")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        traces = stack.enter_context(collector())
        servers = start_all(stack, traces.port)
        costs = costs_of_requests(servers, arguments.requests, arguments.repeat)
        spans, least = len(traces.spans()), arguments.requests * (arguments.repeat - 1)
        if spans < least:
            raise SystemExit(f"Only {spans} spans arrived instead of {least}: what they cost wasn't measured.")
        plain = costs[NEITHER]
        print("Processor time of the embedded server")
        for name, cost in costs.items():
            print(f"  a request, {name:<17} {cost:7.2f} ms   {cost / plain:5.2f} times")
        scrape = partial(cost_of_a_scrape, servers[NEITHER], arguments.scrapes, arguments.repeat)
        empty = scrape()
        make_large(servers[NEITHER][0], arguments.rounds)
        large = scrape()
        print(f"  /metrics, empty database     {empty:7.2f} ms   {empty / plain:5.2f} times")
        print(f"  /metrics, large database     {large:7.2f} ms   {large / empty:5.2f} times that")


if __name__ == "__main__":
    main()
