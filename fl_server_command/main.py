"""Runs the command that the arguments name: one of ours, of Celery or of Django."""

import difflib
import os
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version

from fl_server_command.overview import OURS, other_commands, overview
from fl_server_command.usage import usage_in_a_sentence

DEVELOPMENT = "fl_server.settings.development"
PRODUCTION = "fl_server.settings.production"
QUEUES = {
    "celery": (),  # it computes: a process for each task at a time
    "notifications": ("--pool", "threads", "--concurrency", "32"),
    "control": ("--pool", "threads", "--concurrency", "2"),
}
"""The queues, with the options that suit each."""
PURPOSES = {"compute": "celery"}
"""Other names of queues, which say what their workers do."""
HELP = ("help", "--help", "-h")


def main(words: list[str] | None = None) -> int:
    """Run one command; return its exit code."""
    command, *rest = (sys.argv[1:] if words is None else words) or ["--help"]
    if command in HELP and not rest:
        return _print(overview())
    if command in HELP:
        command, rest = rest[0], ["--help"]
    if command in ("--version", "version"):
        return _print(version("fl-server"))
    if run := OWN.get(command):
        return run(rest)
    if command in OURS or command in other_commands():
        return _django(command, rest)
    close = difflib.get_close_matches(command, [*OURS, *other_commands()], 1)
    guess = f" Did you mean {close[0]}?" if close else ""
    sys.stderr.write(f"fl-server has no command {command!r}.{guess} `fl-server --help` lists all.\n")
    return 2


def worker_arguments(words: list[str]) -> list[str]:
    """Celery's arguments for a worker: a queue's name stands for the queue and its options; later options win."""
    queue, *rest = [PURPOSES.get(words[0], words[0]), *words[1:]] if words else [""]
    if queue in QUEUES:
        return ["worker", "--queues", queue, *QUEUES[queue], *rest]
    return ["worker", *words]


def _worker(words: list[str]) -> int:
    if words[:1] != ["all"]:
        command, *rest = arguments = worker_arguments(words)
        if words and arguments[1:2] == words[:1] and not words[0].startswith("-"):
            names = ", ".join([*PURPOSES, *QUEUES, "all"])
            sys.stderr.write(f"There is no worker {words[0]!r}. Say one of: {names}.\n")
            return 2
        return _celery([command, *_own_name(words), *rest])
    if words[1:]:
        sys.stderr.write("fl-server worker all takes no options. Settings say how many threads it has.\n")
        return 2
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", PRODUCTION)
    from fl_server.processes.whole_worker import run

    return run()


def _own_name(words: list[str]) -> list[str]:
    """Of two workers of one name on one machine, Celery's commands reach one."""
    if any(word.startswith(("-n", "--hostname")) for word in words) or set(words) & set(HELP):
        return []
    purpose = words[0] if words and words[0] in {*QUEUES, *PURPOSES} else "worker"
    return [f"--hostname={purpose}.{os.getpid()}@%h"]


def _beat(words: list[str]) -> int:
    return _celery(["beat", *words])


def _celery(words: list[str]) -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", PRODUCTION)
    from celery.__main__ import main as run

    try:
        from fl_server.telemetry.saying import is_json

        quiet = ["--quiet"] if is_json() else []  # beat's banner isn't a line that can be collected as JSON
    except ModuleNotFoundError as error:
        return _without_settings(error)
    sys.argv = ["fl-server", "-A", "fl_server", *quiet, *words]
    run()
    return 0


def _demo(words: list[str]) -> int:
    # By name: it's a client of the server, and no part of it.
    run: Callable[[list[str]], int] = import_module("fl_server_demo.demo").main
    return run(words)


def _config(words: list[str]) -> int:
    if words:
        sentence = "fl-server config prints a settings file with all settings. It takes no arguments."
        if set(words) & set(HELP):
            return _print(sentence)
        sys.stderr.write(f"{sentence}\n")
        return 2
    from fl_server.settings.config_file import example_toml

    return _print(example_toml())


def _django(command: str, words: list[str]) -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", DEVELOPMENT)
    from django.core.management import execute_from_command_line
    from django.db import DatabaseError

    try:
        with usage_in_a_sentence():
            execute_from_command_line(["fl-server", command, *words])
    except DatabaseError as error:
        if command not in OURS or "--traceback" in words:
            raise
        sys.stderr.write(
            f"The database can't be used: {str(error).strip()}\n"
            "If it lacks tables or columns, run `fl-server migrate` first. --traceback shows where it failed.\n"
        )
        return 1
    except ModuleNotFoundError as error:
        return _without_settings(error)
    return 0


def _without_settings(error: ModuleNotFoundError) -> int:
    """Say that there are no such settings; raise the error again if another module is missing."""
    settings = os.environ["DJANGO_SETTINGS_MODULE"]
    if not error.name or not f"{settings}.".startswith(f"{error.name}."):
        raise error
    sys.stderr.write(f"DJANGO_SETTINGS_MODULE={settings}: no such module. Use {DEVELOPMENT} or {PRODUCTION}.\n")
    return 1


def _print(text: str) -> int:
    sys.stdout.write(text.rstrip("\n") + "\n")
    return 0


OWN: dict[str, Callable[[list[str]], int]] = {"worker": _worker, "beat": _beat, "demo": _demo, "config": _config}
