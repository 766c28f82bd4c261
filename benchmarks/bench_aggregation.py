"""What aggregating model files costs, beside reading and writing the bytes alone.

python benchmarks/bench_aggregation.py [--sources 50] [--layers 10] [--repeat 5] [--methods FedAvg] [--bounds]

With --bounds, also what the figures on each update cost, and clipping: as ratios to the same work without.

Each run does the baseline and the work one after the other; the ratio is that of the fastest runs, since other work on
the machine only ever adds. The files (2 GB) lie in a temporary folder, which is removed.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from unittest.mock import patch

import numpy as np

from fl_server_ai.aggregation import aggregate_files, engine
from fl_server_ai.aggregation.influence import Meter

BLOCK = 1 << 20


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def anonymous_memory() -> int:
    """Bytes of this process that no file backs. (Mapped files count as resident, too, but are the page cache's.)"""
    return int(Path("/proc/self/status").read_text().partition("RssAnon:")[2].split()[0]) << 10


def write_models(folder: Path, count: int, layers: int) -> list[Path]:
    """Files as torch.save writes them, in a process of their own: torch is to stay out of this one."""
    child = os.fork()
    if not child:
        import torch

        for number in range(count):
            torch.manual_seed(number)
            module = torch.nn.Sequential(*[torch.nn.Linear(1000, 1000) for _ in range(layers)])
            torch.save(module, folder / f"{number}.pt")
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        raise SystemExit("The models could not be written.")
    return [folder / f"{number}.pt" for number in range(count)]


def read(paths: Sequence[Path]) -> None:
    buffer = bytearray(BLOCK)
    for path in paths:
        with path.open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass


def write(path: Path, size: int) -> None:
    content = memoryview(np.random.default_rng(0).bytes(BLOCK))
    with path.open("wb", buffering=0) as file:
        for at in range(0, size, BLOCK):
            file.write(content[: min(BLOCK, size - at)])
        os.fsync(file.fileno())


def bench(method: str, paths: list[Path], folder: Path, repeat: int) -> None:
    weights = list(range(1, len(paths) + 1))
    size = paths[0].stat().st_size
    before = anonymous_memory()
    grown = [0]

    def work() -> None:
        out, state = folder / "out.pt", folder / "state"
        beat = lambda: grown.append(anonymous_memory() - before)  # noqa: E731  one line says it
        aggregate_files(paths, weights, out, method, state_out=state, heartbeat=beat)

    runs = [
        (seconds(lambda: read(paths)), seconds(lambda: write(folder / "plain", size)), seconds(work))
        for _ in range(repeat)
    ]
    reading, writing, working = (min(times) for times in zip(*runs, strict=True))
    print(f"{method}: {len(paths)} × {size / 1e6:.0f} MB in {working:.3f} s; memory grew by {max(grown) / 1e6:.1f} MB")
    print(f"  reading all {reading:.3f} s, writing one with fsync {writing:.3f} s")
    print(f"  ratio to both {working / (reading + writing):.2f}")


class NoMeter(Meter):
    """Measures nothing."""

    def add(self, *_parts: object) -> None:
        pass


def bench_bounds(method: str, paths: list[Path], folder: Path, repeat: int) -> None:
    """Seconds of the processor without figures, with them, and with clipping, in turns."""
    weights = [1] * len(paths)

    def work(meter: type[Meter], **options: float) -> float:
        start = time.process_time()
        with patch.object(engine, "Meter", meter):
            aggregate_files(paths, weights, folder / "out.pt", method, state_out=folder / "state", options=options)
        return time.process_time() - start

    runs = [(work(NoMeter), work(Meter), work(Meter, clipping_factor=1.0)) for _ in range(repeat)]
    plain, figures, clipping = (min(times) for times in zip(*runs, strict=True))
    print(f"{method}: without figures {plain:.3f} s of the processor")
    print(f"  with figures {figures / plain:.2f} times that, clipping half of the updates {clipping / plain:.2f} times")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sources", type=int, default=50)
    parser.add_argument("--layers", type=int, default=10, help="linear layers of 1000 × 1000, 4 MB each")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--methods", nargs="+", default=["FedAvg"])
    parser.add_argument("--bounds", action="store_true", help="measure figures and clipping too")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        paths = write_models(Path(name), arguments.sources, arguments.layers)
        for method in arguments.methods:
            bench(method, paths, Path(name), arguments.repeat)
            if arguments.bounds:
                bench_bounds(method, paths, Path(name), arguments.repeat)


if __name__ == "__main__":
    main()
