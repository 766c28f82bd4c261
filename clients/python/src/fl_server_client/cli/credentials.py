"""Where `fl login` keeps the server and the token."""

from __future__ import annotations

import json
import os
from pathlib import Path

import httpx
import platformdirs

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


def login(server: str = "") -> tuple[str, str]:
    """The address of `server`, or else of the server in the environment or the file, and the token for it.

    Raises:
        ValueError: nobody is signed in there.
    """
    kept_server, kept_token = _kept()
    server = server or os.environ.get(SERVER, "") or kept_server
    # Never send one server's token to another.
    is_kept = bool(kept_server) and address(server) == address(kept_server)
    token = os.environ.get(TOKEN, "") or (kept_token if is_kept else "")
    if not server or not token:
        raise ValueError(f"Sign in first: fl login {server or '<server>'}, or set {SERVER} and {TOKEN}.")
    return address(server), token


def _kept() -> tuple[str, str]:
    """What the file holds; empty texts without one."""
    try:
        kept = json.loads(_path().read_text())
        return str(kept["server"]), str(kept["token"])
    except FileNotFoundError:
        return "", ""
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{_path()} is damaged: sign in again with fl login.") from None


def address(text: str) -> str:
    """A server's address, checked, without the path of its API. Raises ValueError."""
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL as error:
        raise ValueError(f"{text!r} must be an address such as https://fl.example.org: {error}") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError(f"{text!r} must be an address such as https://fl.example.org.")
    return text.rstrip("/").removesuffix("/api").rstrip("/")
