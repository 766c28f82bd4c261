"""FedProx's experiment on synthetic(1, 1): the training loss with and without the proximal term.

    .venv/bin/python -m examples.reproduce_fedprox             # 200 rounds, 30 devices, twice
    .venv/bin/python -m examples.reproduce_fedprox --short     # 3 rounds, 6 devices

Softmax regression on 30 devices with different data and different rules for the labels. All devices take part in every
round: 20 local epochs of SGD, batches of 10, learning rate 0.01, mu = 1 against mu = 0. Li et al. 2020, "Federated
Optimization in Heterogeneous Networks", section 5.2 and figure 1. (In the paper, 10 of the 30 devices take part.)
"""

from __future__ import annotations

import argparse
import itertools
import sys

import torch
from rich.console import Console
from rich.table import Table

from examples.experiment import Experiment, experiment, run
from examples.synthetic import CLASSES, DIMENSION, fedprox_problem

MUS = (1.0, 0.0)
Losses = dict[int, float]


def build_model() -> torch.nn.Linear:
    """Softmax regression with zero weights: every class is equally likely, so the first loss is ln 10."""
    module = torch.nn.Linear(DIMENSION, CLASSES)
    with torch.no_grad():
        module.weight.zero_()
        module.bias.zero_()
    return module


def compare(console: Console, arguments: argparse.Namespace) -> dict[float, Losses]:
    """Run a training for each mu; return the global training loss after each round."""
    learners = fedprox_problem(arguments.devices, seed=arguments.seed)
    everything = torch.cat([one.inputs for one in learners]), torch.cat([one.targets for one in learners])

    def accuracy(module: torch.nn.Module) -> float:
        with torch.no_grad():
            return float((module(everything[0]).argmax(dim=1) == everything[1]).float().mean())

    def losses(lab: Experiment, mu: float) -> Losses:
        options = {"mu": mu, "epochs": arguments.epochs, "lr": 0.01, "batch_size": 10, "momentum": 0.0}
        model, _ = lab.train(
            f"FedProx, mu = {mu:g}",
            build_model(),
            rounds=arguments.rounds,
            aggregation="FedProx",
            options=options,
            evaluate=accuracy,
            timeout=arguments.timeout,
        )
        sizes = {user: one.sample_size for user, one in zip(lab.crowd.ids, learners, strict=True)}
        total = sum(sizes.values())
        reports = lab.actor.metrics(model, "loss")
        return {
            number: sum(sizes[user] * loss for user, loss in reported.items()) / total
            for number, reported in sorted(reports.items())
        }

    console.print(f"{len(learners)} devices with {len(everything[0])} samples")
    with experiment(console, learners) as lab:
        return {mu: losses(lab, mu) for mu in MUS}


def print_result(console: Console, result: dict[float, Losses]) -> None:
    """Losses side by side at about twenty rounds, and how often each rose."""
    table = Table(title="Training loss over all devices")
    table.add_column("round", justify="right")
    for mu in result:
        table.add_column(f"mu = {mu:g}", justify="right")
    last = max(max(losses) for losses in result.values())
    step = max(1, last // 20)
    for number in sorted({1, *range(step, last + 1, step), last}):
        table.add_row(str(number), *(f"{losses[number]:.4f}" for losses in result.values()))
    table.add_section()
    table.add_row("lowest", *(f"{min(losses.values()):.4f}" for losses in result.values()))
    table.add_row("rises", *(str(count_rises(losses)) for losses in result.values()))
    console.print(table)


def count_rises(losses: Losses) -> int:
    """In how many rounds the loss rose."""
    ordered = [losses[number] for number in sorted(losses)]
    return sum(after > before for before, after in itertools.pairwise(ordered))


def parse_arguments(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--devices", type=int, default=30)
    parser.add_argument("--epochs", type=int, default=20, help="local epochs per round")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--timeout", type=float, default=4 * 3600.0, help="time limit of one training, in seconds")
    parser.add_argument("--short", action="store_true", help="6 devices, 3 rounds, 2 local epochs")
    arguments = parser.parse_args(words)
    if arguments.short:
        arguments.rounds, arguments.devices, arguments.epochs = 3, 6, 2
    return arguments


def main() -> int:
    """Run the experiment and print the result."""
    arguments = parse_arguments()
    return run(lambda console: print_result(console, compare(console, arguments)))


if __name__ == "__main__":
    sys.exit(main())
