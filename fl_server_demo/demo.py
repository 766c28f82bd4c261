"""Runs a whole federated training on this machine: a server, participants in separate processes, a report.

    fl-server demo --aggregation FedDC --uncertainty SWAG

Exit code 0: all trainings were completed and the goal, if there is one, was reached.
"""

from __future__ import annotations

import argparse
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fl_server_client import Actor, Refused, TrainingFailed, Unreachable, UnreadableModel
from fl_server_client.model_files import script
from fl_server_client.watching import Follower
from rich.console import Console

from fl_server_demo.command_line import CommandLine, at_least_one, port_number
from fl_server_demo.digits import (
    PIXELS,
    Samples,
    build_model,
    hold_out,
    load_samples,
    save_share,
    split_by_dirichlet,
)
from fl_server_demo.local_server import LocalServer, Process, ProcessFailed, tail
from fl_server_demo.report import accuracy_alone, accuracy_of, judge, print_accuracies, print_uncertainty
from fl_server_demo.training import Hyperparameters

MEMBERS = 3
"""How many trainings make up an ensemble."""
DAISY_CHAIN_PERIOD = 2
"""FedDC: how many times a model is trained before all models are averaged."""
UNCERTAINTY = {"N": 30, "softmax": True}

METHODS = ("FedAvg", "FedDC", "FedProx", "Median", "TrimmedMean", "MultiKrum", "FedAdam")
TRIM = 0.2
"""TrimmedMean: of five participants, one value is cut off at each end. The default, 0.1, would cut off none."""
FED_ADAM = {"lr": 0.05, "beta1": 0.5, "tau": 0.05}
"""Learns faster in ten rounds than the defaults, which suit longer trainings."""

GOAL = 0.93
GOAL_ROUNDS = 10  # the goal applies to this many rounds or more


class Demonstration:
    """The server, the participants and the actor of the demo."""

    def __init__(self, arguments: argparse.Namespace, console: Console, folder: Path, stack: ExitStack) -> None:
        self.arguments, self.console, self.folder = arguments, console, folder
        self.generator = np.random.default_rng(arguments.seed)
        self.pool, self.held_out = hold_out(load_samples(), 0.2, self.generator)
        self.shares: list[Samples] = []
        self.server = LocalServer(folder, arguments.port)
        if arguments.keep:
            stack.callback(_say_what_is_left, console, self.server, folder)
        else:
            stack.callback(self.server.process.end)
        with console.status("starting the server"):
            self.server.wait_until_ready()
            name, password = self.server.create_admin()
        console.print(
            f"Watch it at {self.server.url}/admin/  user [bold]{name}[/]  password [bold]{password}[/]",
            highlight=False,
            soft_wrap=True,
        )
        self.participants: list[Process] = []
        self.ids = self._start_participants(stack)
        self.actor = Actor(self.server.url)
        stack.callback(self.actor.close)
        self.actor.sign_in("actor", secrets.token_urlsafe(16), actor=True)

    def run(self) -> bool:
        """Train and report; return whether the goal was reached."""
        started = time.monotonic()
        method = self.arguments.uncertainty
        if method == "ENSEMBLE":
            members = [self._train(f"member {number + 1} of {MEMBERS}", number) for number in range(MEMBERS)]
            model = self.actor.mean_model("ensemble of digit classifiers", members)
            # This training is never started. It tells the server which options to use for inferences of this model.
            options = {"uncertainty": UNCERTAINTY}
            self.actor.create_training(model, rounds=1, uncertainty="ENSEMBLE", options=options)
        else:
            model = self._train("training", 0)
        took = time.monotonic() - started
        with doing(self.console, "Asking the server for inferences, and training each participant alone"):
            verdict = judge(self.actor, model, self.held_out, np.random.default_rng(self.arguments.seed))
            alone = self._alone()
        print_accuracies(self.console, verdict.accuracy, alone, [len(share) for share in self.shares])
        print_uncertainty(self.console, method, verdict)
        reached, sentence = outcome(verdict.accuracy, self.arguments.goal)
        self.console.print(f"{sentence} The training took {took:.0f} s.", highlight=False)
        return reached

    def _train(self, name: str, member: int) -> str:
        """Run one training from its own initial weights; return its model's id."""
        arguments = self.arguments
        swag = arguments.uncertainty == "SWAG"
        module: torch.nn.Module = build_model(1000 * arguments.seed + member)
        model = self.actor.upload_model(
            module if arguments.pickled else script(module),
            f"digit classifier {member + 1}",
            kind="SWAG" if swag else "GLOBAL",
            input_shape=(None, PIXELS),
        )
        training = self.actor.create_training(
            model,
            rounds=arguments.rounds,
            participants=self.ids,
            aggregation=arguments.aggregation,
            uncertainty="NONE" if arguments.uncertainty == "ENSEMBLE" else arguments.uncertainty,
            options=self._options(),
        )
        self.actor.start(training)
        follower = Follower(
            self.actor,
            training,
            evaluate=lambda candidate: accuracy_of(candidate, self.held_out),
            averaging_period=self._period,
            check=self._check,
        )
        title = f"{arguments.aggregation}, {arguments.uncertainty}: {name}"
        follower.follow(self.console, title, timeout=arguments.timeout)
        return model

    @property
    def _period(self) -> int:
        return DAISY_CHAIN_PERIOD if self.arguments.aggregation == "FedDC" else 1

    def _options(self) -> dict[str, Any]:
        options: dict[str, Any] = {"epochs": self.arguments.epochs, "lr": 0.05, "batch_size": 16, "momentum": 0.9}
        if self.arguments.aggregation == "FedProx":
            options["mu"] = self.arguments.mu
        if self.arguments.aggregation == "FedDC":
            options["daisy_chain_period"] = DAISY_CHAIN_PERIOD
        if aggregation := self._aggregation_options():
            options["aggregation"] = aggregation
        if self.arguments.uncertainty in ("MC_DROPOUT", "SWAG"):
            options["uncertainty"] = UNCERTAINTY
        return options

    def _aggregation_options(self) -> dict[str, Any]:
        match self.arguments.aggregation:
            case "TrimmedMean":
                return {"trim": TRIM}
            case "MultiKrum":  # leave out as many updates as may be hostile, and no honest ones besides
                participants = self.arguments.participants
                return {"keep": participants - max(0, (participants - 3) // 2)}
            case "FedAdam":
                return dict(FED_ADAM)
        return {}

    def _start_participants(self, stack: ExitStack) -> list[str]:
        """Distribute the digits and start each participant in its own process; return their user ids."""
        arguments = self.arguments
        indices = split_by_dirichlet(self.pool.y, arguments.participants, alpha=0.5, generator=self.generator)
        for number, index in enumerate(indices, start=1):
            data = self.folder / f"participant-{number}.npz"
            self.shares.append(save_share(data, self.pool[index], self.generator))
            command = [sys.executable, "-m", "fl_server_demo.participant", "--server", self.server.url]
            command += ["--username", f"participant-{number}", "--data", str(data), "--seed", str(number)]
            command += ["--pull"] if arguments.pull else []
            process = Process(
                f"participant {number}",
                command,
                data.with_suffix(".log"),
                talks=True,
                environment={"FL_PASSWORD": secrets.token_urlsafe(16)},
            )
            stack.callback(process.end)
            self.participants.append(process)
        with doing(self.console, f"Starting {arguments.participants} participants"):
            return [str(process.read_json(60.0)["id"]) for process in self.participants]

    def _check(self) -> None:
        for process in (self.server.process, *self.participants):
            process.check()

    def _alone(self) -> list[float]:
        """Each participant's accuracy when it trains alone, after the same number of local epochs."""
        epochs = self.arguments.rounds * self._period * self.arguments.epochs
        hyperparameters = Hyperparameters.of(self._options())
        return [
            accuracy_alone(
                build_model(1000 * self.arguments.seed), share, self.held_out, hyperparameters, epochs=epochs
            )
            for share in self.shares
        ]


def command_line() -> argparse.ArgumentParser:
    """The options. The documentation lists them."""
    parser = CommandLine(
        prog="fl-server demo", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--aggregation", choices=METHODS, default="FedAvg")
    parser.add_argument("--uncertainty", choices=("NONE", "MC_DROPOUT", "SWAG", "ENSEMBLE"), default="NONE")
    parser.add_argument("--rounds", type=at_least_one, default=10, help="how many times the global model is averaged")
    parser.add_argument("--participants", type=at_least_one, default=5)
    parser.add_argument("--epochs", type=at_least_one, default=3, help="local epochs per round")
    parser.add_argument("--mu", type=float, default=0.01, help="weight of FedProx's proximal term")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument(
        "--goal", type=float, help="accuracy to reach (default: 0.93 for ten rounds or more, otherwise none)"
    )
    parser.add_argument("--timeout", type=float, default=300.0, help="time limit of one training, in seconds")
    parser.add_argument("--port", type=port_number, default=0, help="the server's port; 0: any free port")
    parser.add_argument("--pull", action="store_true", help="participants fetch their notifications")
    parser.add_argument("--pickled", action="store_true", help="upload a pickled module instead of TorchScript")
    parser.add_argument("--keep", action="store_true", help="leave the server running, and its files where they are")
    return parser


def parse_arguments(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    arguments = command_line().parse_args(words)
    if arguments.goal is None and arguments.rounds >= GOAL_ROUNDS:
        arguments.goal = GOAL
    return arguments


def outcome(accuracy: float, goal: float | None) -> tuple[bool, str]:
    """Whether the goal was reached, and a sentence about it. A short training has no goal, so it can't miss one."""
    if goal is None:
        return True, f"The accuracy is [bold]{accuracy:.3f}[/]."
    reached = accuracy >= goal
    verb = "[green]reached[/]" if reached else "[red]missed[/]"
    return reached, f"The accuracy of {accuracy:.3f} {verb} the goal of {goal:.3f}."


NEXT = """Next:
  fl-server demo --aggregation FedDC --uncertainty SWAG   other methods; --help lists all
  fl-server demo --keep                                   look at the result in the admin afterwards
  fl-server serve                                         a server of your own, at http://127.0.0.1:8000/
  docs/actors.md, docs/participants.md                    write an actor or a participant"""


@contextmanager
def doing(console: Console, sentence: str) -> Iterator[None]:
    """Say what takes a while: by a spinner on a terminal, else by a line."""
    if not console.is_terminal:
        console.print(f"{sentence} …", highlight=False, soft_wrap=True)
    with console.status(sentence):
        yield


def _say_what_is_left(console: Console, server: LocalServer, folder: Path) -> None:
    """With --keep, however the demo ended: what runs on, and what to clean up."""
    console.print(f"The server is still running at {server.url}/admin/, with the login above.", soft_wrap=True)
    console.print(
        f"To stop it: kill {server.process.pid}   To remove its files: rm -r {folder}", highlight=False, soft_wrap=True
    )


def _run(arguments: argparse.Namespace, console: Console, folder: Path, stack: ExitStack) -> int:
    demonstration = Demonstration(arguments, console, folder, stack)
    reached = demonstration.run()
    console.print(NEXT, markup=False, highlight=False, soft_wrap=True)
    return 0 if reached else 1


def main(words: list[str] | None = None) -> int:
    """Run the demo. The module's docstring explains the exit code."""
    arguments = parse_arguments(words)
    console = Console()
    torch.set_num_threads(1)  # leave the other processors to the participants
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    folder = Path(tempfile.mkdtemp(prefix="fl-demo-"))
    with ExitStack() as stack:
        if not arguments.keep:
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
        try:
            return _run(arguments, console, folder, stack)
        except KeyboardInterrupt:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second one would leave processes and files behind
            console.print("Interrupted. Cleaning up.")
            return 130
        except (ProcessFailed, TrainingFailed, Refused, Unreachable, UnreadableModel, ValueError) as error:
            console.print(f"[bold red]The demo failed.[/] {type(error).__name__}", highlight=False)
            console.print(str(error), markup=False, highlight=False)
            last = f"The end of the server's log:\n{tail(folder / 'server.log')}"
            console.print(last, markup=False, highlight=False)
            return 1


if __name__ == "__main__":
    sys.exit(main())
