"""The command line `fl`. Needs the extra `cli`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run `fl`. Exit code 2, with a sentence: a package is missing, or the server or the arguments can't be used."""
    try:
        from .app import app, explained
    except ModuleNotFoundError as error:
        if error.name not in ("typer", "rich", "platformdirs"):
            raise
        sys.stderr.write(f"fl needs {error.name}: pip install 'fl-server-client[cli]'\n")
        sys.exit(2)
    with explained():
        sys.exit(app(prog_name="fl", standalone_mode=False))
