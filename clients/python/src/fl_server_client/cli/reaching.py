"""Clients for commands of people: they don't wait for long, and say what is wrong with the server's address."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from ..actor import Actor
from ..errors import Refused, Unreachable
from ..participant_client import ParticipantClient
from ..retrying import PAUSES as PATIENT
from . import credentials

PAUSES = (1.0,)
"""Seconds between tries. Where nothing answers, each try takes 5 seconds: some 10 in all."""
NOWHERE = (404, 405)


@contextmanager
def reached(server: str) -> Iterator[None]:
    """What fails for want of a connection names the server, and says what to look at."""
    try:
        yield
    except Unreachable as error:
        if not isinstance(error.__cause__, httpx.TransportError):
            raise
        reason = _reason(error.__cause__)
        raise Unreachable(
            f"Can't reach {server}: {reason}. Is the server running, and the address right?"
        ) from error.__cause__


@contextmanager
def actor(*, direct: bool = False) -> Iterator[Actor]:
    """An actor's client, signed in; `direct` as in Client. Raises ValueError: nobody is signed in."""
    server, token = credentials.login()
    with reached(server), Actor(server, token=token, direct=direct, pauses=PAUSES) as client:
        yield client


@contextmanager
def transfer(*, direct: bool = False) -> Iterator[Actor]:
    """As `actor`, for large files: once the server has answered, it goes on through outages of a minute."""
    with actor(direct=direct) as client:
        client.myself()
        client.pauses = PATIENT
        yield client


@contextmanager
def participant() -> Iterator[ParticipantClient]:
    """A participant's client, signed in. Raises ValueError: nobody is signed in."""
    server, token = credentials.login()
    with reached(server), ParticipantClient(server, token=token, pauses=PAUSES) as client:
        yield client


@contextmanager
def stranger(server: str) -> Iterator[Actor]:
    """A client to sign in with. Raises ValueError: what answers there isn't an fl-server."""
    wrong = f"No fl-server answers at {server}: give its address only, such as https://fl.example.org."
    try:
        with reached(server), Actor(server, pauses=PAUSES) as client:
            yield client
    except Refused as refusal:
        if refusal.status < 400 or refusal.status in NOWHERE or refusal.sentence.startswith("<"):
            raise ValueError(wrong) from refusal
        raise
    except Unreachable as error:
        if "[SSL" in str(error.__cause__) and "CERTIFICATE" not in str(error.__cause__):
            raise ValueError(wrong) from error
        raise
    except (json.JSONDecodeError, KeyError) as error:  # somebody else's pages
        raise ValueError(wrong) from error


def _reason(error: httpx.TransportError) -> str:
    """What the system says, without its numbers: "[Errno 111] Connection refused" is "connection refused"."""
    text = re.sub(r"^\[[^]]*\]\s*|\s*\(_ssl\.c:\d+\)$", "", str(error)).rstrip(".")
    return text[:1].lower() + text[1:] if text else type(error).__name__
