"""`fl participant`: run one, and answer invitations."""

from __future__ import annotations

import importlib
import json
import logging
import os
import sys
import traceback
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import FederationError
from ..participant import Participant
from ..running import Account, Listening, Running, until_told
from . import credentials, reaching
from .output import DIRECT, JSON, done, print_rows

app = typer.Typer(help="Take part in trainings.", no_args_is_help=True)
Training = Annotated[str, typer.Argument(help="The training's id.")]


@app.command()
def run(
    program: Annotated[
        str, typer.Argument(metavar="MODULE:CLASS", help="A class or an object, such as my_clinic:Clinic.")
    ],
    server: Annotated[str, typer.Option(envvar="FL_SERVER", help="Without it: that of fl login.")] = "",
    username: Annotated[str, typer.Option(help="With FL_PASSWORD. Without it: the token of fl login.")] = "",
    invitation: Annotated[str, typer.Option(help="Code of an invitation to register.")] = "",
    listen: Annotated[str, typer.Option(metavar="HOST:PORT", help="Listen (push). Without it: fetch (pull).")] = "",
    endpoint: Annotated[str, typer.Option(help="The URL at which the server reaches the listener.")] = "",
    direct: DIRECT = False,
    accept: Annotated[bool, typer.Option(help="Accept every invitation to a training.")] = False,
    trust: Annotated[list[str] | None, typer.Option(help="Trust this actor, by id, or everyone. Repeat it.")] = None,
) -> None:
    """Run a participant until Ctrl-C: your subclass of fl_server_client.Participant, or an object of it.

    It prints its user's id as JSON once it has signed in.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    participant = load(program)
    if accept:
        participant.accepts_all = True
    trusted: Any = "everyone" if "everyone" in (trust or ()) else tuple(trust or ())
    if username:
        if "FL_PASSWORD" not in os.environ:
            raise ValueError("--username needs the password in the environment variable FL_PASSWORD.")
        account = Account(username, os.environ.get("FL_PASSWORD", ""), invitation=invitation, trust=trusted)
        if not server:
            raise ValueError("--username needs --server.")
    else:
        server, token = credentials.login(server)
        account = Account(token=token, trust=trusted)
    where = listening(listen, endpoint)
    server = credentials.address(server)
    running = Running(participant, server, account, where, direct=direct)
    with reaching.reached(server), until_told(running.stop):
        running.work(lambda user: typer.echo(json.dumps({"id": user["id"], "username": user["username"]})))


@app.command()
def invitations(json_: JSON = False) -> None:
    """List the invitations that you have not answered."""
    with reaching.participant() as client:
        print_rows(client.invitations(), ["training", "actor", "global_model_uuid"], json=json_)


@app.command()
def accept(training: Training, json_: JSON = False) -> None:
    """Accept the invitation to a training."""
    with reaching.participant() as client:
        client.accept(training)
    done("accepted", id=training, json=json_, sentence="Accepted.")


@app.command()
def decline(training: Training, json_: JSON = False) -> None:
    """Decline the invitation to a training."""
    with reaching.participant() as client:
        client.decline(training)
    done("declined", id=training, json=json_, sentence="Declined.")


@app.command()
def leave(training: Training, json_: JSON = False) -> None:
    """Leave a training."""
    with reaching.participant() as client:
        client.leave(training)
    done("left", id=training, json=json_, sentence="You have left the training.")


def load(program: str) -> Participant:
    """What "module:Class" or "module:object" names. Raises ValueError."""
    module_name, sign, name = program.partition(":")
    if not sign:
        raise ValueError(f"{program!r} must be a module and a class, such as my_clinic:Clinic.")
    sys.path.insert(0, "")  # the folder in which the command is run
    try:
        found = getattr(importlib.import_module(module_name), name)
        made = found() if isinstance(found, type) else found
    except FederationError:
        raise
    except Exception as error:  # the module is somebody's own program
        raise ValueError(f"{program} can't be loaded: {type(error).__name__}: {error}{_place_of(error)}") from error
    if not isinstance(made, Participant):
        raise ValueError(f"{program} must be a Participant of fl_server_client: a subclass, or an object of one.")
    return made


def _place_of(error: Exception) -> str:
    """Where in somebody's own program it failed; empty if it failed before."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__)[1:] if "importlib" not in frame.filename]
    return f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""


def listening(address: str, endpoint: str) -> Listening | None:
    """Where to listen, from "host:port"; None where nothing is named. Raises ValueError."""
    if not address:
        return None
    host, _, port = address.rpartition(":")
    if not port.isdigit() or int(port) >= 2**16:
        raise ValueError(f"{address!r} must be an address such as 127.0.0.1:8101.")
    return Listening(host.strip("[]") or "127.0.0.1", int(port), endpoint)
