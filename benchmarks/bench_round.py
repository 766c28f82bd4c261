"""The cost of a round: closing it compared with reading its updates, uploading an update compared with copying it.

python benchmarks/bench_round.py [--updates 10] [--megabytes 40]
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # when run as a file, only its own folder is on the path

from fl_server_client import Actor, ParticipantClient
from fl_server_client.http import LIMITS

from tests.e2e.sites import embedded
from tests.server_process import server_environment

WIDTH = 1000
BLOCK = 1 << 20


def read_all(files: list[Path]) -> float:
    """Read each file once, in blocks; return the seconds."""
    buffer = bytearray(BLOCK)
    started = time.perf_counter()
    for path in files:
        with path.open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass
    return time.perf_counter() - started


def copies_of(model_file: Path, folder: Path, number: int) -> list[Path]:
    """Copies of the model file. Their pages are in memory, like those of updates that were just uploaded."""
    folder.mkdir()
    return [Path(shutil.copyfile(model_file, folder / str(index))) for index in range(number)]


def bench_closing(model_file: Path, folder: Path, updates: int) -> None:
    """Close a round in a separate process; compare its time with reading the same bytes."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.ai.closing_in_a_process", str(model_file), str(updates)],
        cwd=ROOT,
        env=server_environment(folder / "closing")
        | {"DJANGO_SETTINGS_MODULE": "fl_server.settings.development", "FL_LOG_LEVEL": "WARNING"},
        stdout=subprocess.PIPE,
        check=True,
    )
    seen = json.loads(done.stdout)
    files = copies_of(model_file, folder / "copies", updates)
    reading = min(read_all(files) for _ in range(3))
    print(
        f"closing a round: {seen['seconds']:.2f} s, {seen['seconds'] / reading:.1f} times reading the updates "
        f"({reading:.3f} s); anonymous memory +{seen['growth'] / 1e6:.1f} MB"
    )


def bench_uploads(model_file: Path, folder: Path, updates: int) -> None:
    """Upload updates over HTTP, one after the other; compare the median with a plain copy."""
    module = torch.load(model_file, weights_only=False)
    content = model_file.read_bytes()
    uploads, copies = [], []
    with embedded(folder) as (site, _server), httpx.HTTPTransport(limits=LIMITS) as transport:
        account, *people = site.make_users([""] * (updates + 2))  # one never submits: the round stays open
        actor = Actor(site.url, token=account.token)
        model = actor.upload_model(module, "large")
        training = actor.create_training(model, rounds=1, participants=[one.id for one in people])
        actor.start(training)
        for index, one in enumerate(people[:updates]):
            client = ParticipantClient(site.url, token=one.token, transport=transport)
            started = time.perf_counter()
            client.send_update(model, 0, 1, content)
            uploads.append(time.perf_counter() - started)
            started = time.perf_counter()
            shutil.copyfile(model_file, folder / f"copy-{index}")
            copies.append(time.perf_counter() - started)
        actor.close()
    upload, copy = statistics.median(uploads), statistics.median(copies)
    size = len(content) / 1e6
    print(f"uploading: {size / upload:.0f} MB/s, copying the file: {size / copy:.0f} MB/s, ratio {upload / copy:.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--updates", type=int, default=10)
    parser.add_argument("--megabytes", type=int, default=40, help="size of a model")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fl-bench-") as name:
        folder = Path(name)
        model_file = folder / "model.pt"
        torch.save(torch.nn.Linear(WIDTH, arguments.megabytes * 10**6 // 4 // WIDTH, bias=False), model_file)
        print(f"{arguments.updates} updates of {arguments.megabytes} MB")
        bench_closing(model_file, folder, arguments.updates)
        bench_uploads(model_file, folder, arguments.updates)


if __name__ == "__main__":
    main()
