"""Shared by the reproductions: a server with a crowd of participants and an actor."""

from __future__ import annotations

import logging
import secrets
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from fl_server_client import Actor, Refused, TrainingFailed, Unreachable, UnreadableModel
from fl_server_client.watching import Follower, Round
from rich.console import Console

from examples.crowd import Crowd
from examples.local_server import LocalServer, ProcessFailed
from examples.training import Classifier

FAILURES = (ProcessFailed, TrainingFailed, Refused, Unreachable, UnreadableModel, ValueError)
POLL = 1.0


@dataclass(frozen=True)
class Experiment:
    """A running server, an actor and participants."""

    console: Console
    actor: Actor
    crowd: Crowd
    server: LocalServer

    def train(
        self,
        title: str,
        module: torch.nn.Module,
        *,
        rounds: int,
        aggregation: str,
        options: dict[str, Any],
        evaluate: Callable[[torch.nn.Module], float],
        timeout: float,
    ) -> tuple[str, list[Round]]:
        """Run one training to its end; return the model's id and the rounds."""
        model = self.actor.upload_model(module, title)
        training = self.actor.create_training(
            model, rounds=rounds, participants=self.crowd.ids, aggregation=aggregation, options=options
        )
        self.actor.start(training)
        follower = Follower(
            self.actor,
            training,
            evaluate=evaluate,
            averaging_period=options.get("daisy_chain_period", 1),
            check=self.server.process.check,
            poll=POLL,
        )
        return model, follower.follow(self.console, title, timeout=timeout)


@contextmanager
def experiment(console: Console, learners: Sequence[Classifier]) -> Iterator[Experiment]:
    """Start a server in a temporary folder and register a crowd; remove everything afterwards."""
    torch.set_num_threads(1)
    folder = Path(tempfile.mkdtemp(prefix="fl-experiment-"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        server = LocalServer(folder)
        stack.callback(server.process.end)
        server.wait_until_ready()
        crowd = Crowd(server.url, learners)
        stack.callback(crowd.close)
        actor = Actor(server.url)
        stack.callback(actor.close)
        actor.sign_in("actor", secrets.token_urlsafe(16), actor=True)
        yield Experiment(console, actor, crowd, server)


def run(main: Callable[[Console], None]) -> int:
    """Run an experiment's main function, print an error if it fails, and return the exit code."""
    console = Console()
    logging.basicConfig(level=logging.WARNING)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the server is stopped too
    try:
        main(console)
    except FAILURES as error:
        console.print(f"[bold red]The experiment failed.[/] {type(error).__name__}", highlight=False)
        console.print(str(error), markup=False, highlight=False)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0
