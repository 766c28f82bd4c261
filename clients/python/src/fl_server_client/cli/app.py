"""The commands of `fl`, put together."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from ..actor import Actor
from ..errors import FederationError
from . import credentials, model, participant, predict, train
from .output import JSON, print_row
from .reaching import stranger

app = typer.Typer(
    help="Take part in federated trainings, or run them.", no_args_is_help=True, pretty_exceptions_enable=False
)
app.add_typer(model.app, name="model")
app.add_typer(train.app, name="train")
app.add_typer(participant.app, name="participant")
app.command()(predict.predict)


UsageError: Any = typer.BadParameter.__mro__[1]
"""What is wrong with the arguments. typer has no name for it that all of its versions know."""
Server = Annotated[str, typer.Argument(help="The server's address, such as https://fl.example.org.")]
Username = Annotated[str, typer.Option(prompt=True)]
Password = Annotated[str, typer.Option(prompt=True, hide_input=True, envvar="FL_PASSWORD")]


@app.command()
def login(server: Server, username: Username, password: Password, json_: JSON = False) -> None:
    """Sign in at a server. Later commands use it, until you sign in elsewhere.

    The token is kept in a file that only you can read. The password is not kept.
    """
    server = credentials.address(server)
    with stranger(server) as actor:
        _keep(server, actor, actor.log_in(username, password), json=json_)


@app.command()
def register(
    server: Server,
    username: Username,
    password: Password,
    invitation: Annotated[str, typer.Option(help="Code of an invitation, if the server asks for one.")] = "",
    json_: JSON = False,
) -> None:
    """Create an account and sign in, as fl login does. If the account is yours already, only sign in."""
    about = {"invitation": invitation} if invitation else {}
    server = credentials.address(server)
    with stranger(server) as actor:
        _keep(server, actor, actor.sign_in(username, password, **about), json=json_)


def _keep(server: str, actor: Actor, user: dict[str, Any], *, json: bool) -> None:
    path = credentials.keep(server, actor.token)
    print_row(
        {"server": server, "id": user["id"], "username": user["username"]},
        json=json,
        sentence=f"Signed in as {user['username']} (id {user['id']}) at {server}. The token is in {path}.",
    )


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
    except UsageError as error:
        _explain(error)
        sys.exit(2)
    except typer.Abort:  # at a prompt
        sys.stderr.write("Aborted.\n")
        sys.exit(1)
    except (FederationError, ValueError, OSError) as error:
        sys.stderr.write(f"{' '.join(str(error).split())}\n")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


def _explain(error: Any) -> None:
    """A sentence, and where the help is. Where no argument was given, typer has printed the help."""
    if sentence := " ".join(error.format_message().split()):
        sys.stderr.write(f"{sentence} ({error.ctx.command_path} --help explains the arguments)\n")
