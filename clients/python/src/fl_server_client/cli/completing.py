"""Completes what the server says of a training that it refuses, with what a person needs to go on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..actor import Actor
from ..errors import FederationError, Refused, Unreachable

STATES = {"I": "initial", "O": "ongoing", "S": "SWAG round", "C": "completed", "E": "error"}
WANTED = {"started": "initial", "stopped": "ongoing", "resumed": "error"}
"""The state in which something can be done."""
CHOICES = {"aggregation_method": "AggregationMethodEnum", "uncertainty_method": "UncertaintyMethod"}
"""What the server's schema calls the methods that a field takes."""


@contextmanager
def state_named(actor: Actor, training: str, done: str) -> Iterator[None]:
    """A refusal for the training's state says which it is. done: what was asked, such as "started"."""
    try:
        yield
    except Refused as refusal:
        if "At least one participant" in refusal.sentence:
            raise Refused(refusal.status, f"{refusal.sentence} Add some: fl train invite {training} NAME") from None
        if "is not in state" not in refusal.sentence and "is not running" not in refusal.sentence:
            raise
        word = _state_of(actor, training)
        sentence = f"Training {training} can't be {done}: its state is {word}, not {WANTED[done]}."
        raise Refused(refusal.status, sentence) from refusal


def _state_of(actor: Actor, training: str) -> str:
    state = actor.training(training)["state"]
    return STATES.get(state, str(state))


@contextmanager
def not_started(training: str) -> Iterator[None]:
    """What goes wrong at the start of a training that was just created says that the training exists."""
    try:
        yield
    except FederationError as error:
        later = f"Start it once the reason is gone, or the participants have accepted: fl train start {training}"
        raise FederationError(f"{error} Training {training} exists, but isn't started. {later}") from error


@contextmanager
def choices_named(actor: Actor) -> Iterator[None]:
    """A refusal for a method that the server doesn't have lists those that it has."""
    try:
        yield
    except Refused as refusal:
        field = next((name for name in CHOICES if f"{name}: " in refusal.sentence), "")
        if not field or "not a valid choice" not in refusal.sentence:
            raise
        raise Refused(refusal.status, f"{refusal.sentence} It has {_methods(actor, field)}.") from refusal


def _methods(actor: Actor, field: str) -> str:
    """What the server's schema lists; without one, where to look."""
    try:
        schema = actor.call("GET", "/schema/", params={"format": "json"}).json()
        return ", ".join(schema["components"]["schemas"][CHOICES[field]]["enum"])
    except (Refused, Unreachable, ValueError, KeyError):
        return "those that fl train create --help names"
