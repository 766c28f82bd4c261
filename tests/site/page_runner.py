"""Runs the blocks of a page, in order, as a reader would: programs are saved, commands typed into terminals.

`tests.site.blocks` says how a page tells what to do with a block. A block of a shell without a comment is typed into
the first terminal, one of Python is run by itself. Nothing is changed but what stands for something of the test: port
8000, of which `fl-server serve` is told, and 8001, for ports that have to be free, and `/backups/` for a folder.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

from fl_server_demo.local_server import free_port
from tests.site.blocks import SHELL, Block, blocks_of

SECONDS = 180.0
DONE = "=== the end of the block, exit code"


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
        self.folder, self.environment = folder, environment
        self.port, self.other_port = port, free_port()
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
            if not block.is_run:
                continue
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

    def leave(self, name: str) -> None:
        """Close a terminal and what runs in it."""
        if name in self._terminals:
            self._terminals.pop(name).close()

    def _do(self, block: Block) -> None:
        text = self.at_port("\n".join([*block.before, block.text]))
        match block.order, block.language:
            case "file", _:
                (self.folder / block.about).write_text(text, encoding="utf-8")
            case "terminal", _:
                name, _, until = block.about.partition(", until: ")
                self.terminal(name).type(text)
                self._opening.append((self.terminal(name), until))
            case _, language:
                self._wait()
                printed = self._run(text, language, may_fail=block.order == "refused")
                if block.about not in printed:
                    raise AssertionError(f"{block.about!r} was not printed, but:\n{printed}")

    def _run(self, text: str, language: str, *, may_fail: bool) -> str:
        if language in SHELL:
            return self.terminal("first").run(f"{{ {text}\n}} || true" if may_fail else text)
        (self.folder / "block.py").write_text(text, encoding="utf-8")
        return self.terminal("first").run(f"{sys.executable} block.py")

    def at_port(self, text: str) -> str:
        """The text with what stands for ports and folders of the test in place of 8000, 8001 and /backups/."""
        served = text.replace("fl-server serve", f"fl-server serve --port {self.port}")
        other = served.replace("8001", str(self.other_port)).replace("/backups/", f"{self.folder}/backups/")
        return other.replace(":8000", f":{self.port}")
