"""The commands of `fl`, put together."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from ..actor import Actor
from ..errors import FederationError
from ..retrying import FIRST_PAUSES
from . import credentials, model, participant, predict, train
from .output import JSON, print_json, print_row, say

app = typer.Typer(
    help="Take part in federated trainings, or run them.", no_args_is_help=True, pretty_exceptions_enable=False
)
app.add_typer(model.app, name="model")
app.add_typer(train.app, name="train")
app.add_typer(participant.app, name="participant")
app.command()(predict.predict)


@app.command()
def login(
    server: Annotated[str, typer.Argument(help="The server's address, such as https://fl.example.org.")],
    username: Annotated[str, typer.Option(prompt=True)],
    password: Annotated[str, typer.Option(prompt=True, hide_input=True, envvar="FL_PASSWORD")],
    json_: JSON = False,
) -> None:
    """Sign in at a server. Later commands use it, until you sign in elsewhere.

    The token is kept in a file that only you can read. The password is not kept.
    """
    with Actor(credentials.address(server), pauses=FIRST_PAUSES) as actor:
        user = actor.log_in(username, password)
        path = credentials.keep(server, actor.token)
    if json_:
        print_json({"server": server, "id": user["id"], "username": user["username"]})
    else:
        say(f"Signed in as {user['username']} (id {user['id']}) at {server}. The token is in {path}.")


@app.command()
def logout(json_: JSON = False) -> None:
    """Forget the server and the token."""
    was_signed_in = credentials.forget()
    sentence = "Signed out." if was_signed_in else "You were not signed in."
    print_row({"signed_out": was_signed_in}, json=json_, sentence=sentence)


@contextmanager
def explained() -> Iterator[None]:
    """What goes wrong ends the program with exit code 2 and one sentence."""
    try:
        yield
    except (FederationError, ValueError, OSError) as error:
        sys.stderr.write(f"{' '.join(str(error).split())}\n")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
