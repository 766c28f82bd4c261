"""A participant with its own data: a classifier that it trains with SGD.

    export FL_PASSWORD=…
    python -m fl_server_demo.participant --server http://127.0.0.1:8000 --username anna --data anna.npz

It registers, prints its user id as JSON and works until SIGTERM or Ctrl-C. The data are a numpy archive
with x, y, test_x and test_y. Your own participant is a class as `Classifier` in fl_server_demo/training.py.
"""

from __future__ import annotations

import argparse
import json
import logging
import zipfile
from typing import Any

import numpy as np
import torch
from fl_server_client import Account, Listening, Refused, Running, TorchFormat, Unreachable
from fl_server_client.running import until_told

from fl_server_demo.command_line import CommandLine, give_up_with, password, server_address
from fl_server_demo.training import Classifier


def load_classifier(path: str, *, seed: int) -> Classifier:
    """Read a participant's data: x of shape (samples, …), y of shape (samples,), and the same for testing.

    Raises:
        ValueError: the file cannot be read, or its arrays don't belong together.
    """
    try:
        with np.load(path) as data:
            inputs = [torch.from_numpy(data[name]).float() for name in ("x", "test_x")]
            targets = [torch.from_numpy(data[name]).long() for name in ("y", "test_y")]
    except OSError as error:
        raise ValueError(f"Can't read {path}: {error.strerror or error}.") from error
    except (EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} must be a numpy archive of numbers with x, y, test_x and test_y.") from error
    for prefix, samples, classes in zip(("", "test_"), inputs, targets, strict=True):
        if samples.ndim == 0 or classes.ndim != 1 or not len(samples) == len(classes) > 0:
            raise ValueError(f"{path}: {prefix}y must have one class number for each sample in {prefix}x.")
    return Classifier(inputs[0], targets[0], inputs[1], targets[1], seed=seed)


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = CommandLine(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--server", required=True, type=server_address, help="the server's address, such as http://127.0.0.1:8000"
    )
    parser.add_argument("--username", required=True, help="the environment variable FL_PASSWORD holds the password")
    parser.add_argument("--invitation", default="", help="code of an invitation, if the server asks for one")
    parser.add_argument("--data", required=True, help="numpy archive with x, y, test_x, test_y")
    parser.add_argument("--pull", action="store_true", help="fetch notifications instead of listening for them")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=0, help="port to listen on; 0: any free port")
    parser.add_argument("--endpoint", default="", help="URL at which the server reaches this listener")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--accept", action="store_true", help="accept every invitation to a training")
    parser.add_argument(
        "--trust", action="append", metavar="ACTOR", help="take part in this actor's trainings unasked: id or everyone"
    )
    parser.add_argument("--trust-coordinator", action="store_true", help="run the actor's own model classes")
    arguments = parser.parse_args()
    for name, top in (("port", 2**16), ("seed", 2**32)):
        if not 0 <= getattr(arguments, name) < top:
            parser.error(f"--{name} must be a number from 0 to {top - 1}")
    return arguments


def set_up(arguments: argparse.Namespace) -> Running:
    """The participant that the arguments describe. Raises ValueError if its data can't be used."""
    classifier = load_classifier(arguments.data, seed=arguments.seed)
    classifier.models = TorchFormat(trust_coordinator=arguments.trust_coordinator)
    classifier.accepts_all = arguments.accept
    trusted = arguments.trust or ()
    account = Account(
        arguments.username,
        password(),
        invitation=arguments.invitation,
        trust="everyone" if "everyone" in trusted else trusted,
    )
    listen = None if arguments.pull else Listening(arguments.host, arguments.port, arguments.endpoint)
    return Running(classifier, arguments.server, account, listen)


def is_ready(user: dict[str, Any]) -> None:
    """Tell whoever started this program its user id, and log from now on."""
    logging.getLogger("fl_server_client").setLevel(logging.INFO)
    print(json.dumps({"id": user["id"]}), flush=True)


def main() -> None:
    """Take part until told to stop. Exit code 2, with a sentence: the server or the arguments can't be used."""
    arguments = parse_arguments()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    torch.set_num_threads(1)  # in the demo, several participants share a machine
    try:
        running = set_up(arguments)
        with until_told(running.stop):
            running.work(is_ready)
    except Refused as refusal:
        hint = " Check FL_PASSWORD." if refusal.status == 401 else ""
        give_up_with(f"{arguments.server} refuses {arguments.username}: {refusal.sentence}{hint}")
    except Unreachable as error:
        give_up_with(f"Can't reach {arguments.server}: {error}")
    except ValueError as error:
        give_up_with(error)


if __name__ == "__main__":
    main()
