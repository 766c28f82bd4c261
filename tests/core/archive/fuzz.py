"""Mutants of real files, and pairs of files: each is accepted or refused, and nothing else ever happens.

python -m tests.core.archive.fuzz [--mutants 3000] [--pairs 600] [--processes 1] [--seed 1]

They are tried in child processes that may have 1 GB of address space each, and die if one of them takes 5 seconds.
None may take more than 1 second of the processor's time.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from tests.core.archive.trials import Limit, Tally, try_all


@dataclass
class Work:
    """What one child does."""

    mutants: int
    pairs: int
    seed: int


def run(mutants: int, seed: int, pairs: int = 0, processes: int = 1) -> Tally:
    """Try so many. Raises AssertionError, with the file's path, if one is neither accepted nor refused, or is slow."""
    shares = [
        Work(_share(mutants, place, processes), _share(pairs, place, processes), seed * 1000 + place)
        for place in range(processes)
    ]
    with tempfile.TemporaryDirectory() as originals, ThreadPoolExecutor(processes) as pool:
        _write_originals(Path(originals))  # once: torch scripts one module at a time
        tallies = list(pool.map(_run_child, shares, [Path(originals)] * processes))
    total = tallies[0]
    for tally in tallies[1:]:
        for name in (one.name for one in fields(Tally)):
            combine = max if name in ("slowest", "megabytes", "sentences") else int.__add__
            setattr(total, name, combine(getattr(total, name), getattr(tally, name)))
    return total


def _share(total: int, place: int, processes: int) -> int:
    return total // processes + (place < total % processes)


def _run_child(work: Work, originals: Path) -> Tally:
    with tempfile.TemporaryDirectory() as folder:
        for path in originals.iterdir():
            shutil.copy(path, folder)
        command = [sys.executable, "-m", "tests.core.archive.fuzz", "--child", folder]
        command += [f"--{name}={value}" for name, value in asdict(work).items()]
        environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
        child = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        if child.returncode:
            kept = Path(tempfile.mkdtemp(prefix="mutant-"))
            for path in Path(folder).glob("tried*"):
                (kept / path.name).write_bytes(path.read_bytes())
            raise AssertionError(f"The child ended with {child.returncode} over {kept}:\n{child.stderr[-4000:]}")
        return Tally(**json.loads(child.stdout))


def _write_originals(folder: Path) -> None:
    import safetensors.torch
    import torch
    from torch import nn

    from tests.builders.files import saved, scripted

    with torch.random.fork_rng():
        torch.manual_seed(0)
        whole = torch.rand(6, 8)
        layers = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Sequential(nn.Linear(4, 3), nn.ReLU()))
        state = {"a": whole, "b": whole, "c": whole.t()[2:], "d": whole.bfloat16(), "e": whole > 0.5, "f": whole[:0]}
        numbers = {"x": torch.tensor([2**62]), "y": torch.ones(3, dtype=torch.complex128), "z": whole.half()}
        apart = {name: tensor.clone().contiguous() for name, tensor in {**state, "x": numbers["x"]}.items()}
        originals = {
            "module": saved(layers),
            "module4": saved(nn.TransformerEncoderLayer(4, 2, 8), pickle_protocol=4),
            "script": scripted(layers),
            "lstm": scripted(nn.LSTM(2, 3)),
            "state": saved(state),
            "numbers": saved(numbers),
            "vector": saved(torch.rand(20)),
            "list": saved([torch.rand(2), torch.ones(1).expand(5)]),
            "safe": safetensors.torch.save(apart, {"note": 'written by "hand" {}'}),
            "safe_layers": safetensors.torch.save(layers.state_dict()),
        }
    for name, content in originals.items():
        (folder / f"{name}.original").write_bytes(content)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutants", type=int, default=3000)
    parser.add_argument("--pairs", type=int, default=600)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    wish = parser.parse_args()
    if wish.child:
        tally = try_all(wish.child, wish.mutants, wish.pairs, wish.seed, Limit())
        sys.stdout.write(json.dumps(asdict(tally)))
    else:
        sys.stdout.write(f"{run(wish.mutants, wish.seed, wish.pairs, wish.processes)} (seed {wish.seed})\n")


if __name__ == "__main__":
    main()
