"""Runs the blocks of a page, in order, as a reader would: programs are saved, commands typed into terminals.

A comment before a block says what a reader reads in the text:

    <!-- file: NAME -->                      save the block under this name
    <!-- terminal: NAME, until: TEXT -->     type it into a terminal of its own, and go on when TEXT was printed
    <!-- prints: TEXT -->                    the commands print this
    <!-- not run: REASON -->                 the test leaves the block out, and prints the reason

A block of bash without a comment is typed into the first terminal, one of Python is run by itself. Nothing is changed
but the port, which has to be free: 8000 stands for it, and `fl-server serve` is told of it.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from sybil import Document, Region
from sybil.parsers.myst import CodeBlockParser

from fl_server.settings.config_file import setting_names

LANGUAGES = ("bash", "sh", "python", "toml")
COMMENT = re.compile(r"<!-- (file|terminal|prints|not run): ((?:(?!-->).)*?) -->\s*\Z", re.DOTALL)
SECONDS = 180.0
DONE = "=== the end of the block, exit code"


@dataclass(frozen=True)
class Block:
    """One fenced block, and the comment before it. `line` counts from 1."""

    language: str
    text: str
    line: int
    order: str = ""
    about: str = ""


def blocks_of(path: Path) -> list[Block]:
    """The blocks of a page that can be run, in order."""
    document = Document.parse(str(path), *(CodeBlockParser(language, lambda example: None) for language in LANGUAGES))
    return [_block(document.text, region.start, str(region.parsed)) for region in _regions(document)]


def _regions(document: Document) -> Iterator[Region]:
    return (example.region for example in document.examples())


def _block(text: str, start: int, content: str) -> Block:
    fence = text[start:].partition("\n")[0]
    comment = COMMENT.search(text[:start])
    line = text.count("\n", 0, start) + 1
    order, about = (comment[1], " ".join(comment[2].split())) if comment else ("", "")
    return Block(fence.strip("` \t"), content, line, order, about)


class Terminal:
    """A shell that commands are typed into. It ends, with all that it started, at the end of the page."""

    def __init__(self, folder: Path, environment: dict[str, str], log: Path) -> None:
        self.log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                ["bash"],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env=environment,
                start_new_session=True,
                text=True,
            )

    def type(self, commands: str) -> None:
        """Type commands. They run one after the other; the first that fails ends the shell."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"set -e\n{commands}\n")
        self.process.stdin.flush()

    def run(self, commands: str) -> str:
        """Type commands; return what they print. Raises AssertionError: one of them fails."""
        before = len(self.output())
        self.type(f"{commands}\nset +e; echo '{DONE} 0'")
        self.wait_for(DONE, before)
        return self.output()[before:].partition(DONE)[0]

    def wait_for(self, text: str, after: int = 0) -> None:
        """Wait until it has printed this. Raises AssertionError: it ends before, or takes too long."""
        deadline = time.monotonic() + SECONDS
        while text not in self.output()[after:]:
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"{text!r} was not printed, but:\n{self.output()[after:]}")
            time.sleep(0.05)

    def output(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def close(self) -> None:
        """As the reader's Ctrl-C, and then for good."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.process.pid, number)
                self.process.wait(15)
            except ProcessLookupError:
                return
            except subprocess.TimeoutExpired:
                continue


class Reader:
    """Somebody who works through pages in one folder, with one server at a port."""

    def __init__(self, folder: Path, environment: dict[str, str], port: int) -> None:
        self.folder, self.environment, self.port = folder, environment, port
        self._opening: list[tuple[Terminal, str]] = []
        self._terminals: dict[str, Terminal] = {}

    def __enter__(self) -> Reader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for terminal in reversed(self._terminals.values()):
            terminal.close()

    def work_through(self, path: Path) -> None:
        """Run a page. Raises AssertionError, which names the line."""
        for block in blocks_of(path):
            try:
                self._do(block)
            except (AssertionError, ValueError) as error:
                raise AssertionError(f"{path.name}, line {block.line}: {error}") from error
        self._wait()

    def _wait(self) -> None:
        """Until each terminal that was opened has printed what it is waited for. They start side by side."""
        while self._opening:
            terminal, until = self._opening.pop(0)
            terminal.wait_for(until)

    def terminal(self, name: str) -> Terminal:
        """The terminal of this name, opened if it isn't open."""
        if name not in self._terminals:
            self._terminals[name] = Terminal(self.folder, self.environment, self.folder / f"{name}.output")
        return self._terminals[name]

    def _do(self, block: Block) -> None:
        text = self.at_port(block.text)
        match block.order, block.language:
            case "not run", _:
                compiles(block)
            case "file", _:
                (self.folder / block.about).write_text(text, encoding="utf-8")
            case "terminal", _:
                name, _, until = block.about.partition(", until: ")
                self.terminal(name).type(text)
                self._opening.append((self.terminal(name), until))
            case _, "toml":
                compiles(block)
            case _, language:
                self._wait()
                printed = self._run(text, language)
                if block.order == "prints" and block.about not in printed:
                    raise AssertionError(f"{block.about!r} was not printed, but:\n{printed}")

    def _run(self, text: str, language: str) -> str:
        if language != "python":
            return self.terminal("first").run(text)
        (self.folder / "block.py").write_text(text, encoding="utf-8")
        return self.terminal("first").run(f"{sys.executable} block.py")

    def at_port(self, text: str) -> str:
        """The text with the free port in place of 8000."""
        return text.replace(":8000", f":{self.port}").replace("fl-server serve", f"fl-server serve --port {self.port}")


def compiles(block: Block) -> None:
    """At least its syntax is right, and the names of settings in TOML. Raises AssertionError, ValueError."""
    if block.language == "python":
        compile(block.text, "block", "exec")
    elif block.language == "toml":
        unknown = {key.removesuffix("_FILE") for key in tomllib.loads(block.text)} - set(setting_names())
        assert not unknown, f"not settings: {unknown}"
    else:
        done = subprocess.run(["bash", "-n"], input=block.text, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
