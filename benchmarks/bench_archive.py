"""The cost of reading archives as data, compared with torch and with reading only the bytes.

python benchmarks/bench_archive.py [--sources 50] [--layers 10] [--repeat 5]

A MB is 10⁶ bytes. The fastest of several runs counts, because other work on the machine only adds time.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import django
import numpy as np
import torch

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fl_server.settings.development")
django.setup()

from fl_server_ai.aggregation.kernel import weighted_mean  # noqa: E402 - Django must be set up first
from fl_server_core.archive import (  # noqa: E402
    Archive,
    ArchiveWriter,
    check_compatible,
    check_finite,
    open_archive,
)


def fastest(work: Callable[[], object], repeat: int) -> float:
    """Seconds of the fastest run."""
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def anonymous_memory() -> int:
    """Resident memory of this process without mapped files, which belong to the page cache."""
    return int(Path("/proc/self/status").read_text().partition("RssAnon:")[2].split()[0]) << 10


def write_models(folder: Path, sources: int, layers: int) -> list[Path]:
    paths = []
    for number in range(sources):
        torch.manual_seed(number)
        paths.append(folder / f"{number}.pt")
        torch.save(torch.nn.Sequential(*[torch.nn.Linear(1000, 1000) for _ in range(layers)]), paths[-1])
    return paths


def bench_opening(path: Path, repeat: int) -> None:
    def ours() -> list[np.ndarray]:
        with open_archive(path) as archive:
            return [archive.array(name) for name in archive.tensors]

    def torchs() -> object:
        return torch.load(path, weights_only=False).state_dict()

    own, other = fastest(ours, repeat), fastest(torchs, repeat)
    size = path.stat().st_size / 1e6
    print(f"names and views of a {size:.0f} MB model: {own * 1e3:.2f} ms, torch.load: {other * 1e3:.2f} ms")
    print(f"  ratio {other / own:.1f}")


def bench_checks(paths: list[Path], repeat: int) -> None:
    with open_archive(paths[0]) as reference, open_archive(paths[1]) as candidate:
        size = candidate.nbytes / 1e9
        for name, check in {
            "check_compatible": lambda: check_compatible(reference, candidate),
            "check_finite": lambda: check_finite(candidate, reference),
            "verify_checksums": candidate.verify_checksums,
        }.items():
            seconds = fastest(check, repeat)
            print(f"{name}: {seconds * 1e3:.2f} ms ({size / seconds:.1f} GB/s)")


def read_all(sources: list[Archive]) -> None:
    """The baseline: numpy reads every byte once."""
    for source in sources:
        for name in source.tensors:
            source.array(name).max()


def whole_models_in_numpy(sources: list[Archive], weights: list[int]) -> None:
    """The mean written naively: one array per tensor and step."""
    total = sum(weights)
    for name in sources[0].tensors:
        mean = np.zeros_like(sources[0].array(name))
        for source, weight in zip(sources, weights, strict=True):
            mean += source.array(name) * np.float32(weight / total)


def bench_mean(paths: list[Path], folder: Path, repeat: int) -> None:
    sources = [open_archive(path) for path in paths]
    weights = list(range(1, len(sources) + 1))
    grown = [0]
    before = anonymous_memory()

    def mean() -> None:
        with ArchiveWriter(sources[0], folder / "mean.pt") as writer:
            weighted_mean(sources, weights, writer, heartbeat=lambda: grown.append(anonymous_memory() - before))

    own = fastest(mean, repeat)
    size = sum(source.nbytes for source in sources) / 1e9
    print(f"mean of {len(sources)} × {sources[0].nbytes / 1e6:.0f} MB, including the write to disk: {own:.3f} s")
    print(f"  {size / own:.1f} GB/s; anonymous memory grew by {max(grown) / 1e6:.1f} MB")
    reading = fastest(lambda: read_all(sources), repeat)
    print(f"  reading the same bytes: {reading:.3f} s, ratio {own / reading:.2f}")
    plain = fastest(lambda: whole_models_in_numpy(sources, weights), repeat)
    print(f"  numpy, tensor by tensor, without writing: {plain:.3f} s, ratio {own / plain:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sources", type=int, default=50)
    parser.add_argument("--layers", type=int, default=10, help="linear layers of 1000 × 1000, 4 MB each")
    parser.add_argument("--repeat", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        paths = write_models(Path(name), arguments.sources, arguments.layers)
        bench_opening(paths[0], 4 * arguments.repeat)
        bench_checks(paths, arguments.repeat)
        bench_mean(paths, Path(name), arguments.repeat)


if __name__ == "__main__":
    main()
