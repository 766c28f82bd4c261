"""What manifests start: is it a command of ours, and which queues does it serve?"""

from __future__ import annotations

import re

from fl_server_command.main import OWN, QUEUES, worker_arguments
from fl_server_command.overview import OURS, other_commands
from tests.server_process import REPOSITORY

CLOCK = "beat"


def queues_served(words: list[str]) -> set[str]:
    """The queues that this command serves, and "beat" for the clock. AssertionError: it is no command of ours."""
    if words[:3] == ["celery", "-A", "fl_server"]:
        rest = words[3:]
    else:
        assert words[0] == "fl-server", words
        assert words[1] in {*OWN, *OURS, *other_commands()}, words
        if words[1:] == ["worker", "all"]:
            return {*QUEUES, CLOCK}
        rest = worker_arguments(words[2:]) if words[1] == "worker" else words[1:]
    if rest[0] == "worker":
        return set(rest[rest.index("--queues") + 1].split(",")) if "--queues" in rest else set(QUEUES)
    return {CLOCK} if rest[0] == CLOCK else set()


def is_setting(name: str) -> bool:
    """Does .env.example have it? A secret may come from a file: `<NAME>_FILE`."""
    known = (REPOSITORY / ".env.example").read_text(encoding="utf-8")
    return bool(re.search(rf"^#?{name.removesuffix('_FILE')}=", known, re.MULTILINE))
