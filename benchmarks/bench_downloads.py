"""Downloads from a bucket: straight, through a web process that has a copy, and through one that keeps none.

Prints for each the rate, and the web process's processor time for each download, beside fetching the object from the
bucket without the server. The bucket is SeaweedFS, on this machine: a network between them isn't measured.

python benchmarks/bench_downloads.py [--megabytes 100] [--downloads 10]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # run as a file: only its own folder is on the path

from fl_server_client import Actor

from tests.e2e.sites import embedded
from tests.object_store import BUCKET, ObjectStore, object_store
from tests.processor import processor_seconds

WIDTH = 1000
BLOCK = 1 << 20


@dataclass(frozen=True)
class Way:
    """One way to a file: where, with which header, and the web process on it."""

    name: str
    url: str
    headers: dict[str, str]
    pid: int | None


def fetch(way: Way, client: httpx.Client) -> int:
    """Follow to where the file is and read all of it. httpx sends no token to another port."""
    with client.stream("GET", way.url, headers=way.headers) as answer:
        answer.raise_for_status()
        return sum(len(block) for block in answer.iter_bytes(BLOCK))


def measure(ways: list[Way], size: int, downloads: int) -> None:
    """In turns, so that other work on the machine is everybody's; the fastest run gives the rate."""
    seconds: dict[str, list[float]] = {way.name: [] for way in ways}
    processor = dict.fromkeys(seconds, 0.0)
    with httpx.Client(follow_redirects=True, timeout=60) as client:
        for turn in range(downloads + 1):
            for way in ways:
                before, started = _spent(way), time.perf_counter()
                fetched = fetch(way, client)
                if fetched != size:
                    raise SystemExit(f"{way.name}: {fetched} bytes came instead of {size}.")
                if turn:  # the first one makes connections
                    seconds[way.name].append(time.perf_counter() - started)
                    processor[way.name] += _spent(way) - before
    alone = min(seconds[ways[0].name])
    for way in ways:
        best, spent = min(seconds[way.name]), 1000 * processor[way.name] / downloads
        web = f"   {spent:5.0f} ms of the web process" if way.pid else ""
        print(f"  {way.name:<28} {size / best / 1e6:6.0f} MB/s   {best / alone:5.2f} times the bucket's time{web}")


def _spent(way: Way) -> float:
    return processor_seconds(way.pid) if way.pid else 0.0


def ways(store: ObjectStore, folder: Path, module: torch.nn.Module, stack: ExitStack) -> Iterator[Way]:
    """Two servers on the bucket, each with the model: one with copies, one without."""
    for name, copies in (("copy", {}), ("none", {"FL_S3_COPIES_MB": "0"})):
        (folder / name).mkdir()
        prefix = {"FL_S3_PREFIX": name}
        environment = store.settings(store.url) | prefix | copies
        site, server = stack.enter_context(embedded(folder / name, environment=environment))
        (account,) = site.make_users([""])
        with closing(Actor(site.url, token=account.token)) as actor:
            address = f"{site.url}/api/models/{actor.upload_model(module, 'large')}/"
        token = {"Authorization": f"Token {account.token}"}
        if name == "copy":
            yield Way("straight from the bucket", f"{address}?direct=1", token, server.pid)
            yield Way("through the server, a copy", address, token, server.pid)
        else:
            yield Way("through the server, no copy", address, token, server.pid)


def alone(store: ObjectStore) -> tuple[Way, int]:
    """The object by a signed address, and its size."""
    (name, size), *_ = store.objects().items()
    sign: Callable[..., str] = store.client.generate_presigned_url
    return Way("the bucket alone", sign("get_object", Params={"Bucket": BUCKET, "Key": name}), {}, None), size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=100, help="size of the model")
    parser.add_argument("--downloads", type=int, default=10)
    arguments = parser.parse_args()
    module = torch.nn.Linear(WIDTH, arguments.megabytes * 10**6 // 4 // WIDTH, bias=False)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fl-bench-")))
        (folder / "store").mkdir()
        try:
            store = stack.enter_context(object_store(folder / "store"))
        except pytest.skip.Exception as reason:
            print(f"Downloads were not measured: {reason}")
            return
        found = list(ways(store, folder, module, stack))
        bucket, size = alone(store)
        print(f"{arguments.downloads} downloads of {size / 1e6:.0f} MB each, one after the other")
        measure([bucket, *found], size, arguments.downloads)


if __name__ == "__main__":
    main()
