"""`fl train`: set up, start, watch, stop and compare trainings."""

from __future__ import annotations

import json as json_module
from dataclasses import asdict
from datetime import datetime
from statistics import fmean
from typing import Annotated, Any

import typer

from ..actor import Actor
from ..errors import TrainingFailed
from . import reaching
from .completing import STATES, choices_named, not_started, state_named
from .output import JSON, console, done, print_json, print_row, print_rows, say
from .typed import ids_of, options_of

app = typer.Typer(help="Trainings: set up, start, watch, stop, compare.", no_args_is_help=True)
Training = Annotated[str, typer.Argument(help="The training's id.")]
AGGREGATIONS = "FedAvg, FedAdam, FedDC, FedProx, Median, MultiKrum, TrimmedMean; a server may have more"
UNCERTAINTIES = "NONE, ENSEMBLE, MC_DROPOUT, SWAG; a server may have more"
AWAY = "The server can't be reached; trying again."


@app.command("list")
def list_trainings(json_: JSON = False) -> None:
    """List the trainings that you are the actor of."""
    with reaching.actor() as actor:
        rows = actor.trainings()
    shown = rows if json_ else [row | {"state": STATES.get(row["state"], row["state"])} for row in rows]
    print_rows(shown, ["id", "state", "aggregation_method", "target_num_updates", "model"], json=json_)


@app.command()
def create(
    model: Annotated[str, typer.Argument(help="The id of a model that you own.")],
    rounds: Annotated[int, typer.Option(min=1, help="How many rounds to train.")],
    participant: Annotated[
        list[str] | None, typer.Option(help="A participant's name or id. Repeat it for more.")
    ] = None,
    aggregation: Annotated[str, typer.Option(help=f"The aggregation method: {AGGREGATIONS}.")] = "FedAvg",
    uncertainty: Annotated[str, typer.Option(help=f"The uncertainty method: {UNCERTAINTIES}.")] = "NONE",
    metric: Annotated[list[str] | None, typer.Option(help="What will be measured. Repeat it for more.")] = None,
    option: Annotated[
        list[str] | None, typer.Option(help="key=value, value as JSON or text; a.b=1 sets b of a. Repeat it.")
    ] = None,
    start: Annotated[bool, typer.Option(help="Start it at once.")] = False,
    json_: JSON = False,
) -> None:
    """Set up a training. Participants may have to agree before they take part."""
    options = options_of(option or ())
    if start and not participant:
        raise ValueError(
            "--start needs participants: name them with --participant. "
            "Or create the training without --start, add them with fl train invite, and start it with fl train start."
        )
    with reaching.actor() as actor, choices_named(actor):
        training = actor.create_training(
            model,
            rounds=rounds,
            participants=ids_of(actor, participant or ()),
            aggregation=aggregation,
            uncertainty=uncertainty,
            metrics=metric or ("loss", "accuracy"),
            options=options,
        )
        print_row({"id": training}, json=json_, sentence=f"The training's id is {training}.")
    if start:
        with not_started(training), reaching.actor() as actor:
            actor.start(training)


@app.command()
def invite(
    training: Training,
    participants: Annotated[list[str], typer.Argument(help="Names or ids.")],
    json_: JSON = False,
) -> None:
    """Add participants, or invite those who must agree first."""
    with reaching.actor() as actor:
        people = ids_of(actor, participants)
        actor.invite(training, people)
    sentence = "Added, or invited where consent is needed: see fl train status."
    done("invited", id=training, participants=people, json=json_, sentence=sentence)


@app.command()
def remove(
    training: Training,
    participants: Annotated[list[str], typer.Argument(help="Names or ids.")],
    json_: JSON = False,
) -> None:
    """Remove participants, or withdraw their invitations."""
    with reaching.actor() as actor:
        people = ids_of(actor, participants)
        actor.remove(training, people)
    done("removed", id=training, participants=people, json=json_, sentence="Removed.")


@app.command()
def start(training: Training, json_: JSON = False) -> None:
    """Start a training."""
    with reaching.actor() as actor, state_named(actor, training, "started"):
        actor.start(training)
    done("started", id=training, json=json_, sentence="Started.")


@app.command()
def stop(training: Training, json_: JSON = False) -> None:
    """Stop a training for good."""
    with reaching.actor() as actor, state_named(actor, training, "stopped"):
        actor.stop(training)
    done("stopped", id=training, json=json_, sentence="Stopped.")


@app.command()
def resume(training: Training, json_: JSON = False) -> None:
    """Continue a training that has failed."""
    with reaching.actor() as actor, state_named(actor, training, "resumed"):
        actor.resume(training)
    done("resumed", id=training, json=json_, sentence="Resumed.")


@app.command()
def status(training: Training, json_: JSON = False) -> None:
    """Say what a training waits for, and for whom."""
    with reaching.actor() as actor:
        found = actor.status(training)
    if json_:
        print_json(found)
        return
    awaited = [person["username"] for person in found["participants"] if person["awaited"]]
    say(
        f"{STATES.get(found['state'], found['state'])}, "
        f"{found['rounds_closed']} of {found['target_num_updates']} rounds."
    )
    if awaited:
        say(f"Waiting for {', '.join(awaited)} ({found['phase']}), since {_moment(found['since'])}.")
    if found["invited"]:
        say(f"Invited, without an answer: {', '.join(person['username'] for person in found['invited'])}.")
    for sentence in (found["problem"], found["failure"]):
        if sentence:
            say(sentence)


@app.command()
def watch(
    training: Training,
    timeout: Annotated[float, typer.Option(help="How long to follow it, in seconds.")] = 24 * 3600.0,
    metric: Annotated[
        list[str] | None, typer.Option(help="A metric to show. Repeat it for more. Without it: three at most.")
    ] = None,
    json_: JSON = False,
) -> None:
    """Follow a training until it ends. Exit code 1: it failed.

    If the server can't be reached for a while, it goes on afterwards. With --json, it prints a line for each round that
    has finished.
    """
    from ..watching import Follower

    with reaching.actor() as actor:
        found = actor.status(training)
        if found["state"] == "C" and not json_:
            rounds = f"{found['rounds_closed']} of {found['target_num_updates']} rounds"
            say(f"The training is completed, after {rounds}. Its figures: fl train compare {training}")
            return
        first = found["round"] - found["rounds_closed"]
        try:
            follower = Follower(
                actor, training, first=first, poll=1.0, metrics=metric or (), outage=lambda: typer.echo(AWAY, err=True)
            )
            if json_:
                follower.report(lambda row: typer.echo(json_module.dumps(asdict(row))), timeout=timeout)
            else:
                follower.follow(console, f"training {training}", timeout=timeout)
        except TrainingFailed as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(1) from None


@app.command()
def compare(trainings: Annotated[list[str], typer.Argument(help="The ids of trainings.")], json_: JSON = False) -> None:
    """Put trainings side by side: methods, state, rounds, and the means of the last metrics."""
    with reaching.actor() as actor:
        rows = [_figures(actor, training) for training in trainings]
    metrics = sorted({key for row in rows for key in row["metrics"]})
    shown = rows if json_ else [row | row["metrics"] for row in rows]
    print_rows(shown, ["id", "state", "aggregation", "uncertainty", "rounds", *metrics], json=json_)


def _figures(actor: Actor, training: str) -> dict[str, Any]:
    found, about = actor.training(training), actor.status(training)
    measured = actor.measured(found["model"])
    return {
        "id": training,
        "state": STATES.get(found["state"], found["state"]),
        "aggregation": found["aggregation_method"],
        "uncertainty": found["uncertainty_method"],
        "rounds": f"{about['rounds_closed']}/{found['target_num_updates']}",
        "metrics": {key: fmean(steps[max(steps)].values()) for key, steps in measured.items()},
    }


def _moment(text: str) -> str:
    """A time of the server, in this machine's time zone, to the second."""
    return f"{datetime.fromisoformat(text).astimezone():%Y-%m-%d %H:%M:%S %Z}"
