"""What the suite does inside of the server's environment: `python -m tests.faults.harness.inside <command> …`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID


def make_users(specification: str) -> list[str]:
    """Users with ids of our choice, which fix the order of all sums: a list of {id, username, message_endpoint}.

    Returns: their tokens, in the same order.
    """
    from tests.builders.clients import token_of
    from tests.builders.rows import make_user

    # A token is derived from the id, which has to be one for that.
    return [token_of(make_user(**{**wanted, "id": UUID(wanted["id"])})) for wanted in json.loads(specification)]


def remove_orphans(seconds: str) -> int:
    """Remove the files that no row names and that are older than so many seconds. Returns: how many."""
    from fl_server_core.services.orphans import remove_orphans

    return remove_orphans(older_than=timedelta(seconds=float(seconds)))


COMMANDS: dict[str, Callable[[str], Any]] = {"make-users": make_users, "remove-orphans": remove_orphans}


if __name__ == "__main__":
    import django

    django.setup()
    sys.stdout.write(json.dumps(COMMANDS[sys.argv[1]](sys.argv[2])))
