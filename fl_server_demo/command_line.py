"""What the example programs have in common on the command line."""

from __future__ import annotations

import argparse
import os
import sys
from typing import NoReturn

import httpx


class CommandLine(argparse.ArgumentParser):
    """Reads arguments; says what is wrong with them in one line."""

    def error(self, message: str) -> NoReturn:
        """Explain a wrong argument and end the program."""
        give_up_with(f"{message} ({self.prog} --help explains the arguments)")


def give_up_with(sentence: object) -> NoReturn:
    """End the program because of what its user gave it: a sentence on standard error, exit code 2."""
    print(" ".join(str(sentence).split()), file=sys.stderr)
    sys.exit(2)


def password() -> str:
    """The user's password, from the environment: arguments can be seen by everyone on the machine."""
    found = os.environ.get("FL_PASSWORD", "")
    if not found:
        give_up_with("Set the environment variable FL_PASSWORD to the user's password.")
    return found


def server_address(text: str) -> str:
    """The address of a server, as a type of argparse's arguments."""
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not an address: {error}") from None
    if url.scheme not in ("http", "https") or not url.host or not 0 < (url.port or 80) < 2**16:
        raise argparse.ArgumentTypeError(f"{text!r} is not an address such as http://127.0.0.1:8000")
    return text


def at_least_one(text: str) -> int:
    """A whole number of at least 1, as a type of argparse's arguments."""
    if not (text.isdecimal() and int(text) >= 1):
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, not {text!r}")
    return int(text)


def port_number(text: str) -> int:
    """A port to listen on, 0 for any, as a type of argparse's arguments."""
    if not (text.isdecimal() and int(text) < 2**16):
        raise argparse.ArgumentTypeError(f"must be a whole number from 0 to 65535, not {text!r}")
    return int(text)
