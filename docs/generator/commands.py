"""The command lines with all of their options: `fl-server` from Django's and argparse's parsers, `fl` from click's."""

from __future__ import annotations

import argparse
import inspect
from importlib import import_module

import django

from docs.generator.tables import plain, table

OF_EVERY_COMMAND = {"help", "version", "verbosity", "settings", "pythonpath", "traceback", "no_color", "force_color"}
"""What Django gives to each command."""


def server_commands(_: str = "") -> str:
    """A part for each command of `fl-server`."""
    from fl_server_command.main import OWN
    from fl_server_command.overview import OURS

    django.setup()
    parts = []
    for name, line in OURS.items():
        parts.append(f"## `fl-server {name}`\n\n{plain(line[:1].upper() + line[1:])}.\n")
        parser = _parser_of(name, has_own=name in OWN)
        if parser is not None:
            parts.append(_options(parser))
    return "\n".join(parts)


def client_commands(_: str = "") -> str:
    """A part for each command of `fl`."""
    import typer
    from fl_server_client.cli.app import app

    return "\n".join(_click_parts(typer.main.get_command(app), "fl"))


def _parser_of(name: str, *, has_own: bool) -> argparse.ArgumentParser | None:
    if name == "demo":
        parser: argparse.ArgumentParser = import_module("fl_server_demo.demo").command_line()
        return parser
    if has_own:
        return None
    from django.core.management import get_commands, load_command_class

    return load_command_class(get_commands()[name], name).create_parser("fl-server", name)


def _options(parser: argparse.ArgumentParser, title: str = "") -> str:
    rows, parts = [], []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            parts += [_options(one, f"{parser.prog} {name}".strip()) for name, one in action.choices.items()]
        elif action.dest not in OF_EVERY_COMMAND and action.help != argparse.SUPPRESS:
            rows.append([_names(action), _help(action, parser.prog), _default(action)])
    heading = f"`{title}`:\n\n" if title else ""
    shown = table(["option", "what it does", "default"], rows)
    return "\n".join([heading + shown if shown else "", *parts])


def _names(action: argparse.Action) -> str:
    value = action.metavar or (action.dest.upper() if action.nargs != 0 else "")
    if not action.option_strings:
        return f"`{action.metavar or action.dest}`"
    shown = " ".join(value) if isinstance(value, tuple) else value
    return ", ".join(f"`{f'{one} {shown}'.strip()}`" for one in action.option_strings)


def _help(action: argparse.Action, program: str) -> str:
    text = plain((action.help or "") % {**vars(action), "prog": program} if action.help else "")
    choices = list(action.choices or ()) if action.option_strings else []
    # Choices are the methods that are installed, levels and the like: few, and worth a look.
    return text + (f" One of: {', '.join(f'`{one}`' for one in choices)}." if 0 < len(choices) <= 12 else "")


def _default(action: argparse.Action) -> str:
    default = action.default
    if default in (None, False, True, argparse.SUPPRESS, "") or default == [] or action.nargs == 0:
        return ""
    return f"`{default}`"


def _click_parts(command: object, path: str) -> list[str]:
    """Of a group, its commands; of a command, its text and its options."""
    subcommands = getattr(command, "commands", None)
    if subcommands is not None:
        return [part for name in subcommands for part in _click_parts(subcommands[name], f"{path} {name}")]
    about = "\n\n".join(plain(one) for one in inspect.cleandoc(getattr(command, "help", "") or "").split("\n\n"))
    rows = [_click_row(one) for one in getattr(command, "params", ()) if one.name != "help"]
    return [f"## `{path}`\n\n{about}\n", table(["argument or option", "what it does", "default"], rows)]


def _click_row(parameter: object) -> list[str]:
    record = getattr(parameter, "record", None)
    is_argument = getattr(parameter, "param_type_name", "") == "argument"
    names = (
        [str(getattr(parameter, "human_readable_name", ""))] if is_argument else list(getattr(parameter, "opts", ()))
    )
    variable = getattr(parameter, "envvar", None)
    text = plain(getattr(parameter, "help", None) or "") + (f" Environment variable: `{variable}`." if variable else "")
    default = getattr(parameter, "default", None)
    is_shown = (
        record is None and isinstance(default, str | int | float) and not isinstance(default, bool) and default != ""
    )
    return [", ".join(f"`{one}`" for one in names), text, f"`{default}`" if is_shown else ""]
