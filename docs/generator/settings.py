"""Every setting: what .env.example says of it, and the type and defaults that the code reads it with."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from pathlib import Path

from docs.generator.tables import code, plain, table

REPOSITORY = Path(__file__).resolve().parents[2]
SECTION = re.compile(r"^# --- (.+?) -*$")
VARIABLE = re.compile(r"^#([A-Z][A-Z0-9_]*)=(.*)$")
TYPES = {
    "text": "text",
    "lines": "lines of text",
    "words": "list of words",
    "choice": "word",
    "word": "word",
    "time_zone": "time zone",
    "device": "`cpu`, `auto`, `cuda`, or `cuda:1` and so on",
    "boolean": "`true` or `false`",
    "ports": "list of ports",
    "integer": "whole number",
    "seconds": "seconds",
    "all_seconds": "list of seconds",
}


@dataclass
class Group:
    """Variables that one comment explains: their names and defaults as .env.example has them."""

    about: str
    variables: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class Read:
    """How the code reads a variable."""

    kind: str
    least: str


def settings(_: str = "") -> str:
    """All settings, section by section."""
    reads = reads_of(sorted((REPOSITORY / "fl_server").rglob("*.py")))
    shown = []
    for title, groups in sections((REPOSITORY / ".env.example").read_text(encoding="utf-8")):
        shown.append(f"## {plain(title)}\n")
        shown += [_group(group, reads) for group in groups]
    return "\n".join(shown)


def sections(text: str) -> list[tuple[str, list[Group]]]:
    """The sections of .env.example, each with its groups. What stands before the first section is left out."""
    found: list[tuple[str, list[Group]]] = []
    about: list[str] = []
    is_open = False
    for line in text.splitlines():
        if heading := SECTION.match(line):
            found.append((heading[1], []))
            about = []
        elif not found:
            continue
        elif variable := VARIABLE.match(line):
            if about or not found[-1][1] or not is_open:
                found[-1][1].append(Group(" ".join(about)))
                about = []
            found[-1][1][-1].variables.append((variable[1], variable[2]))
        elif line.startswith("#"):
            about.append(line.removeprefix("#").strip())
        is_open = bool(line.strip())
    return found


def reads_of(files: list[Path]) -> dict[str, Read]:
    """The calls `env.<type>("NAME", …)` in these files, by the variable's name."""
    found: dict[str, Read] = {}
    for file in files:
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in TYPES:
                match call.args[:1]:
                    case [ast.Constant(value=str(name))] if name.isupper():
                        least = next((ast.unparse(one.value) for one in call.keywords if one.arg == "least"), "")
                        found.setdefault(name, Read(call.func.attr, least))
    return found


def _group(group: Group, reads: dict[str, Read]) -> str:
    about = plain(group.about)
    rows = [
        [f"[`{name}`]{{#{name.lower().replace('_', '-')}}}", _type(reads.get(name)), code(default) or "not set"]
        for name, default in group.variables
    ]
    return (f"{about}\n\n" if about else "") + table(["variable", "type", "default"], rows)


def _type(read: Read | None) -> str:
    if read is None:
        return TYPES["text"]
    return TYPES[read.kind] + (f", at least {read.least}" if read.least else "")
