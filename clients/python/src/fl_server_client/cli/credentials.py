"""Where `fl login` keeps the server and the token."""

from __future__ import annotations

import json
import os
from pathlib import Path

import httpx
import platformdirs

from ..actor import Actor
from ..participant_client import ParticipantClient

SERVER, TOKEN = "FL_SERVER", "FL_TOKEN"
"""Environment variables that go before the file, for programs that run without a person."""


def _path() -> Path:
    return Path(platformdirs.user_config_dir("fl-server-client")) / "login.json"


def keep(server: str, token: str) -> Path:
    """Write them to a file that only this user can read; return its path."""
    path = _path()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump({"server": server, "token": token}, file)
    part.replace(path)
    return path


def forget() -> bool:
    """Remove the file. Returns: was there one?"""
    path = _path()
    existed = path.exists()
    path.unlink(missing_ok=True)
    return existed


def login() -> tuple[str, str]:
    """The server's address and the token. Raises ValueError: nobody is signed in."""
    kept = json.loads(_path().read_text()) if _path().exists() else {}
    server, token = os.environ.get(SERVER) or kept.get("server"), os.environ.get(TOKEN) or kept.get("token")
    if not server or not token:
        raise ValueError(f"Sign in first: fl login <server>, or set {SERVER} and {TOKEN}.")
    return address(server), str(token)


def actor() -> Actor:
    """An actor's client, signed in. Raises ValueError: nobody is signed in."""
    server, token = login()
    return Actor(server, token=token)


def participant() -> ParticipantClient:
    """A participant's client, signed in. Raises ValueError: nobody is signed in."""
    server, token = login()
    return ParticipantClient(server, token=token)


def address(text: str) -> str:
    """A server's address, checked. Raises ValueError."""
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL as error:
        raise ValueError(f"{text!r} is not an address: {error}") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError(f"{text!r} is not an address such as https://fl.example.org")
    return text
