"""The cost of reading archives as data, compared with torch and with reading only the bytes.

python benchmarks/bench_archive.py [--layers 10] [--repeat 5]

A MB is 10⁶ bytes. The fastest of several runs counts, because other work on the machine only adds time.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from fl_server_core.archive import check_compatible, check_finite, open_archive


def fastest(work: Callable[[], object], repeat: int) -> float:
    """Seconds of the fastest run."""
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def write_models(folder: Path, count: int, layers: int) -> list[Path]:
    paths = []
    for number in range(count):
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=10, help="linear layers of 1000 × 1000, 4 MB each")
    parser.add_argument("--repeat", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        paths = write_models(Path(name), 2, arguments.layers)
        bench_opening(paths[0], 4 * arguments.repeat)
        bench_checks(paths, arguments.repeat)


if __name__ == "__main__":
    main()
