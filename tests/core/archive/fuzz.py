"""Mutants of real archives: each is accepted or refused, and nothing else ever happens.

python -m tests.core.archive.fuzz [--mutants 3000] [--seed 1]

The mutants are tried in a child process that may have 1 GB of address space, and dies if one of them takes 5 seconds.
"""

import argparse
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from fl_server_core.archive import (
    Archive,
    ArchiveError,
    ArchiveWriter,
    check_compatible,
    check_finite,
    foreign_globals,
    open_archive,
)
from tests.core.archive.mutations import mutant

MEMORY = 1 << 30
SECONDS = 5


@dataclass
class Tally:
    mutants: int = 0
    accepted: int = 0
    refused: int = 0
    sentences: int = 0
    slowest: float = 0.0

    def __str__(self) -> str:
        return (
            f"{self.mutants} mutants of real archives: {self.accepted} accepted, {self.refused} refused "
            f"with {self.sentences} different sentences, slowest {self.slowest:.2f} s"
        )


def run(mutants: int, seed: int) -> Tally:
    """Try so many mutants. Raises AssertionError, with the mutant's path, if one is neither accepted nor refused."""
    with tempfile.TemporaryDirectory() as folder:
        _write_originals(Path(folder))
        command = [
            sys.executable,
            "-m",
            "tests.core.archive.fuzz",
            "--child",
            folder,
            f"--mutants={mutants}",
            f"--seed={seed}",
        ]
        environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
        child = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        if child.returncode:
            kept = Path(tempfile.mkdtemp(prefix="mutant-")) / "mutant.pt"
            kept.write_bytes((Path(folder) / "mutant.pt").read_bytes())
            raise AssertionError(f"The child ended with {child.returncode} over {kept}:\n{child.stderr[-4000:]}")
        return Tally(**json.loads(child.stdout))


def _write_originals(folder: Path) -> None:
    import torch
    from torch import nn

    from tests.builders.files import saved, scripted

    with torch.random.fork_rng():
        torch.manual_seed(0)
        whole = torch.rand(6, 8)
        layers = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Sequential(nn.Linear(4, 3), nn.ReLU()))
        originals = {
            "module": saved(layers),
            "module4": saved(nn.TransformerEncoderLayer(4, 2, 8), pickle_protocol=4),
            "script": scripted(layers),
            "lstm": scripted(nn.LSTM(2, 3)),
            "state": saved(
                {"a": whole, "b": whole, "c": whole.t()[2:], "d": whole.bfloat16(), "e": whole > 0.5, "f": whole[:0]}
            ),
            "numbers": saved(
                {"x": torch.tensor([2**62]), "y": torch.ones(3, dtype=torch.complex128), "z": whole.half()}
            ),
            "vector": saved(torch.rand(20)),
            "list": saved([torch.rand(2), torch.ones(1).expand(5)]),
        }
    for name, content in originals.items():
        (folder / f"{name}.original").write_bytes(content)


def _try_all(folder: Path, mutants: int, seed: int) -> Tally:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # not to be caught: it also ends what hangs outside of Python
    originals = [path.read_bytes() for path in sorted(folder.glob("*.original"))]
    references = [open_archive(content) for content in originals]
    chance = random.Random(seed)
    tally, sentences = Tally(), set()
    for number in range(mutants):
        index = chance.randrange(len(originals))
        path = folder / "mutant.pt"
        path.unlink(missing_ok=True)
        path.write_bytes(mutant(originals[index], originals, chance))
        start = time.monotonic()
        signal.alarm(SECONDS)
        try:
            _use(path, references[index], by_path=number % 2 == 0)
            tally.accepted += 1
        except ArchiveError as error:
            tally.refused += 1
            sentence = str(error)
            assert sentence.isprintable(), sentence
            assert sentence.endswith("."), sentence
            assert len(sentence) < 400, sentence
            sentences.add(sentence)
        signal.alarm(0)
        tally.mutants += 1
        tally.slowest = max(tally.slowest, time.monotonic() - start)
    tally.sentences = len(sentences)
    return tally


def _use(path: Path, reference: Archive, *, by_path: bool) -> None:
    """Everything that the server does with an upload. Refusals after the opening count as refusals, too."""
    with open_archive(path if by_path else path.read_bytes()) as archive:
        for name, info in archive.tensors.items():
            array = archive.array(name)
            assert array.shape == info.shape
            array.tobytes()
        foreign_globals(archive, ["package.*"])
        assert archive.parameter_count >= 0
        _write(archive, path.with_name("as_template.pt"))
        archive.verify_checksums()
        check_finite(archive, reference)
        check_compatible(archive, reference)
        check_compatible(reference, archive)


def _write(archive: Archive, path: Path) -> None:
    with ArchiveWriter(archive, path) as writer:
        for name in archive.tensors:
            target = writer.array(name)
            np.copyto(target, np.zeros_like(target), casting="no")
    with open_archive(path) as written:
        assert list(written.tensors.values()) == list(archive.tensors.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutants", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        sys.stdout.write(json.dumps(asdict(_try_all(arguments.child, arguments.mutants, arguments.seed))))
    else:
        sys.stdout.write(f"{run(arguments.mutants, arguments.seed)} (seed {arguments.seed})\n")


if __name__ == "__main__":
    main()
