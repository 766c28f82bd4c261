"""The demo's data and model: scikit-learn's handwritten digits, split unevenly among the participants.

    .venv/bin/python -m examples.digits anna.npz ben.npz

writes a data file for each of these participants.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from sklearn.datasets import load_digits

from examples.command_line import CommandLine, give_up_with

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

CLASSES = 10
PIXELS = 64


@dataclass(frozen=True)
class Samples:
    """Images of shape (samples, 64) with pixels in 0..1, and their classes of shape (samples,)."""

    x: Floats
    y: Ints

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: Ints) -> Samples:
        return Samples(self.x[index], self.y[index])


def load_samples() -> Samples:
    """All 1797 digits."""
    digits = load_digits()
    return Samples((digits.data / 16).astype(np.float32), digits.target.astype(np.int64))


def hold_out(samples: Samples, share: float, generator: np.random.Generator) -> tuple[Samples, Samples]:
    """Split at random into samples to keep and samples to hold out (`share` of all, at least one)."""
    order = generator.permutation(len(samples))
    size = max(1, round(share * len(samples)))
    return samples[order[size:]], samples[order[:size]]


def split_by_dirichlet(
    labels: Ints, parts: int, *, alpha: float, generator: np.random.Generator, smallest: int = 10
) -> list[Ints]:
    """Distribute sample indices to `parts` participants, each class in proportions drawn from Dirichlet(alpha).

    A smaller alpha makes the shares of a class more unequal (Hsu et al. 2019). A participant with fewer than `smallest`
    samples gets some from the one with the most.

    Raises:
        ValueError: there are too few samples for everyone to have `smallest`.
    """
    if len(labels) < parts * smallest:
        raise ValueError(f"{len(labels)} samples are too few for {parts} participants with {smallest} each")
    shares: list[list[int]] = [[] for _ in range(parts)]
    for label in np.unique(labels):
        members = generator.permutation(np.flatnonzero(labels == label))
        ends = np.cumsum(generator.dirichlet([alpha] * parts)) * len(members)
        for share, piece in zip(shares, np.split(members, ends[:-1].astype(int)), strict=True):
            share.extend(piece.tolist())
    for share in shares:
        while len(share) < smallest:
            share.append(max(shares, key=len).pop())
    return [np.array(sorted(share), dtype=np.int64) for share in shares]


def save_share(path: Path, samples: Samples, generator: np.random.Generator) -> Samples:
    """Write one participant's file, with a seventh of the samples for testing; return the samples for training."""
    train, test = hold_out(samples, 1 / 7, generator)
    np.savez(path, x=train.x, y=train.y, test_x=test.x, test_y=test.y)
    return train


def upside_down(images: Floats) -> Floats:
    """Turn 8 by 8 images by 180° by reversing their pixels."""
    return np.ascontiguousarray(images[:, ::-1])


def noise(count: int, generator: np.random.Generator) -> Floats:
    """Images with pixels drawn uniformly from 0..1."""
    return generator.random((count, PIXELS)).astype(np.float32)


def build_model(seed: int, *, hidden: int = 128, dropout: float = 0.3) -> torch.nn.Sequential:
    """A perceptron with two hidden layers and dropout. Its outputs are logits."""
    torch.manual_seed(seed)
    return torch.nn.Sequential(
        torch.nn.Linear(PIXELS, hidden),
        torch.nn.ReLU(),
        torch.nn.Dropout(dropout),
        torch.nn.Linear(hidden, hidden),
        torch.nn.ReLU(),
        torch.nn.Dropout(dropout),
        torch.nn.Linear(hidden, CLASSES),
    )


def main() -> None:
    """Split the digits among the files named on the command line."""
    parser = CommandLine(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE.npz", help="the data file of one participant")
    parser.add_argument("--alpha", type=float, default=0.5, help="smaller values make the shares more unequal")
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    if not arguments.alpha > 0 or arguments.seed < 0:
        parser.error("--alpha must be above 0, and --seed at least 0")
    wrong = next((path for path in arguments.files if path.suffix != ".npz"), None)
    if wrong is not None:
        parser.error(f"{wrong} must end in .npz")
    generator, samples = np.random.default_rng(arguments.seed), load_samples()
    try:
        shares = split_by_dirichlet(samples.y, len(arguments.files), alpha=arguments.alpha, generator=generator)
        for path, share in zip(arguments.files, shares, strict=True):
            save_share(path, samples[share], generator)
    except ValueError as error:
        give_up_with(error)
    except OSError as error:
        give_up_with(f"Can't write {error.filename}: {error.strerror}.")


if __name__ == "__main__":
    main()
