"""The blocks of the documentation's pages, and what becomes of each: it is run, or parsed, or left out for a reason.

Comments before a block say what a reader reads in the text. One of them:

    <!-- file: NAME -->                      save the block under this name
    <!-- terminal: NAME, until: TEXT -->     type it into a terminal of its own, and go on when TEXT was printed
    <!-- prints: TEXT -->                    the commands print this
    <!-- refused: TEXT -->                   the last command prints this and fails
    <!-- run by: TEST -->                    this test runs the block
    <!-- not run: REASON -->                 the tests leave the block out, and print the reason

and, before it, what a reader has by then: `<!-- before: CODE -->`, in the block's language.
"""

from __future__ import annotations

import ast
import configparser
import json
import re
import subprocess
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent

import yaml

from fl_server.settings.config_file import setting_names
from tests.documents import REPOSITORY

DOCS = REPOSITORY / "docs"
ORDERS = ("file", "terminal", "prints", "refused", "run by", "not run")
BLOCK = re.compile(
    r"(?P<comments>(?:^[ ]*<!-- (?:(?!-->).)* -->\n)*)"
    r"^(?P<indent>[ ]*)(?P<fence>`{3,})(?P<language>[^\n]*)\n(?P<text>.*?)^[ ]*(?P=fence)[ ]*$",
    re.MULTILINE | re.DOTALL,
)
COMMENT = re.compile(r"<!-- ([a-z ]+): ((?:(?!-->).)*) -->", re.DOTALL)
SHELL = ("bash", "sh")
COMMANDS = r"(?:\$ |(?:fl|fl-server|curl|pip|python3?|make|docker|kubectl|export|cd|sudo) )"


@dataclass(frozen=True)
class Block:
    """One fenced block, and the comments before it. `line` counts from 1."""

    page: Path
    language: str
    text: str
    line: int
    orders: dict[str, str] = field(default_factory=dict)

    @property
    def where(self) -> str:
        return f"{self.page.relative_to(REPOSITORY)}:{self.line}"

    @property
    def order(self) -> str:
        """What the comment says to do with it, or an empty text."""
        return next((order for order in ORDERS if order in self.orders), "")

    @property
    def about(self) -> str:
        return " ".join(self.orders.get(self.order, "").split())

    @property
    def before(self) -> list[str]:
        """What the reader has done by then, to be run with the block."""
        return [dedent(self.orders["before"])] if "before" in self.orders else []

    @property
    def is_run(self) -> bool:
        """Whether it does something when the page is worked through."""
        return self.order not in ("run by", "not run") and (self.language in (*SHELL, "python") or bool(self.order))


def pages() -> list[Path]:
    """Every page that somebody may read: of the documentation, and those that stand elsewhere and belong to it."""
    elsewhere = [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", REPOSITORY / "clients/python/README.md"]
    return sorted([*DOCS.rglob("*.md"), *elsewhere])


def blocks_of(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order, without those in braces: these are Sphinx's."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            page,
            found["language"].strip(),
            dedent(found["text"]),
            text.count("\n", 0, found.start("fence")) + 1,
            dict(COMMENT.findall(found["comments"])),
        )
        for found in BLOCK.finditer(text)
        if not found["language"].startswith("{")
    ]


def check(block: Block) -> None:
    """Its syntax is right, as far as that can be told. Raises AssertionError, ValueError, which say what is wrong."""
    unknown = set(block.orders) - {*ORDERS, "before"}
    assert not unknown, f"unknown comments: {unknown}"
    if block.language not in PARSERS:
        assert block.order == "not run", f"nothing parses {block.language or 'a block without a language'!r}"
        return
    PARSERS[block.language](block.text)


def _python(text: str) -> None:
    ast.parse(text)


def _shell(text: str) -> None:
    done = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _toml(text: str) -> None:
    table = tomllib.loads(text)
    unknown = {key.removesuffix("_FILE") for key in table} - set(setting_names()) if "project" not in table else set()
    assert not unknown, f"not settings: {unknown}"


def _ini(text: str) -> None:
    configparser.ConfigParser(strict=False, interpolation=None).read_string(text)


def _variables(text: str) -> None:
    """Lines of a file .env: settings, or what docker-compose.yml asks for."""
    compose = (REPOSITORY / "docker-compose.yml").read_text(encoding="utf-8")
    for line in text.splitlines():
        name = line.partition("=")[0]
        assert name in setting_names() or f"${{{name}" in compose, f"not a variable: {line}"


def _yaml(text: str) -> None:
    assert yaml.safe_load(text) is not None


def _text(text: str) -> None:
    """What is printed, a drawing, a request: nothing that somebody types."""
    assert not re.match(COMMANDS, text), "commands: write ```bash"


PARSERS: dict[str, Callable[[str], object]] = {
    "python": _python,
    "bash": _shell,
    "sh": _shell,
    "toml": _toml,
    "json": json.loads,
    "yaml": _yaml,
    "ini": _ini,
    "properties": _variables,
    "text": _text,
}
