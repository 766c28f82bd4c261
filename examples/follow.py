"""Follows a running training and prints rounds, updates received, accuracy and time.

    FL_PASSWORD=… .venv/bin/python -m examples.follow --server http://127.0.0.1:8000 --username anna --training <id>

For the training's actor and participants. Exit code 0: the training is completed; 1: it failed or took too long;
2: the server or the arguments can't be used.
"""

from __future__ import annotations

import argparse
import sys

from fl_server_client import Actor, Refused, TrainingFailed, Unreachable
from fl_server_client.retrying import FIRST_PAUSES, PAUSES
from fl_server_client.watching import Follower
from rich.console import Console

from examples.command_line import CommandLine, give_up_with, password, server_address


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = CommandLine(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--server", required=True, type=server_address, help="the server's address, such as http://127.0.0.1:8000"
    )
    parser.add_argument("--username", required=True, help="the environment variable FL_PASSWORD holds the password")
    parser.add_argument("--training", required=True, help="the training's id")
    parser.add_argument("--timeout", type=float, default=3600.0, help="how long to follow it, in seconds")
    return parser.parse_args()


def main() -> int:
    """Follow a training. The module's docstring explains the exit code."""
    arguments = parse_arguments()
    actor = Actor(arguments.server, pauses=FIRST_PAUSES)
    try:
        actor.log_in(arguments.username, password())
        status = actor.call("GET", f"/trainings/{arguments.training}/status/").json()
        follower = Follower(actor, arguments.training, first=status["round"] - status["rounds_closed"], poll=1.0)
    except Refused as refusal:
        give_up_with(f"{arguments.server} refuses this: {refusal.sentence}")
    except Unreachable as error:
        give_up_with(f"Can't reach {arguments.server}: {error}")
    actor.pauses = PAUSES
    try:
        follower.follow(Console(), f"training {arguments.training}", timeout=arguments.timeout)
    except (TrainingFailed, Refused, Unreachable) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
