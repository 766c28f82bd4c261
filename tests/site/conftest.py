"""A reader with an empty folder and an installed server."""

from __future__ import annotations

import site as site_module
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fl_server_demo.local_server import free_port
from tests.server_process import server_environment
from tests.site.blocks import blocks_of, pages
from tests.site.page_runner import Reader

COMMANDS = ("fl", "fl-server", "openapi-python-client")


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """Somebody who has installed both packages as the tutorial says, and nothing else."""
    folder, home = tmp_path_factory.mktemp("reader"), tmp_path_factory.mktemp("home")
    _install(folder / "federation")
    (home / ".curlrc").write_text("fail-with-body\nsilent\nshow-error\n", encoding="utf-8")
    environment = {
        **server_environment(home / "data"),
        "HOME": str(home),
        "OMP_NUM_THREADS": "1",
        "XDG_CONFIG_HOME": str(home / "config"),
        "PYTHONUNBUFFERED": "1",
    }
    with Reader(folder, environment, free_port()) as person:
        yield person


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Whoever reads the log sees which blocks of the documentation aren't tried, and why."""
    if any("tests/site/" in report.nodeid for report in terminalreporter.getreports("passed")):
        terminalreporter.section("blocks of the documentation that are not run")
        for block in (block for page in pages() for block in blocks_of(page)):
            if block.order == "not run":
                terminalreporter.line(f"{block.where}: {block.about}")


def _install(environment: Path) -> None:
    """What `pip install` would leave: a venv that has what this one has."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    (packages,) = environment.glob("lib/python*/site-packages")
    folders = "; ".join(f"site.addsitedir({folder!r})" for folder in site_module.getsitepackages())
    (packages / "others.pth").write_text(f"import site; {folders}\n", encoding="utf-8")
    for command in COMMANDS:
        (environment / "bin" / command).symlink_to(Path(sys.executable).parent / command)
