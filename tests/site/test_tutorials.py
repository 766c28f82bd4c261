"""The tutorials and how-to pages, block by block, as they stand: server, participants and actor are processes."""

from __future__ import annotations

import os
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.documents import REPOSITORY
from tests.site.page_runner import Reader

pytestmark = [pytest.mark.once, pytest.mark.timeout(300)]
DOCS = REPOSITORY / "docs"
HOW_TO = (
    "how-to/take-part.md",
    "how-to/run-a-training.md",
    "how-to/firewall.md",
    "how-to/privacy.md",
    "how-to/tls.md",
    "how-to/several-machines.md",
)


@pytest.fixture(scope="module")
def beginner(reader: Reader) -> Reader:
    """Whoever has worked through the first tutorial: the server and the clinics run."""
    reader.work_through(DOCS / "tutorials/first-federation.md")
    return reader


def test_ten_minutes_end_with_a_model_that_knows_what_no_clinic_alone_knows(beginner: Reader) -> None:
    shares = re.findall(r"^(\w+)(?: alone)?: (0\.\d+|1\.00)$", beginner.terminal("first").output(), re.MULTILINE)
    reached = {name: float(share) for name, share in shares}
    assert set(reached) == {"together", "north", "south", "west"}
    assert reached.pop("together") > 0.9
    assert max(reached.values()) < 0.75


def test_own_data_are_trained_with_two_methods(beginner: Reader) -> None:
    beginner.work_through(DOCS / "tutorials/own-data.md")
    printed = beginner.terminal("first").output()
    assert len(re.findall(r"(?:mine|colleague): accuracy (?:0\.[6-9]\d|1\.00)", printed)) == 4


@pytest.mark.parametrize("page", HOW_TO)
def test_a_how_to_page_does_what_it_says(beginner: Reader, page: str) -> None:
    beginner.work_through(DOCS / page)


@pytest.mark.parametrize("name", ["actor", "participant"])
def test_a_notebook_runs_from_top_to_bottom(beginner: Reader, name: str) -> None:
    path = DOCS / f"notebooks/{name}.ipynb"
    text = beginner.at_port(path.read_text(encoding="utf-8"))
    notebook = nbformat.reads(text, as_version=4)  # type: ignore[no-untyped-call]
    client = NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(beginner.folder)}})
    client.execute(env=beginner.environment)
    if os.environ.get("WRITE_NOTEBOOKS"):
        _keep(notebook, path, beginner.port)


def _keep(notebook: nbformat.NotebookNode, path: Path, port: int) -> None:
    """With the outputs of this run, and without what differs from run to run."""
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    text = nbformat.writes(notebook)  # type: ignore[no-untyped-call]
    path.write_text(text.replace(f":{port}", ":8000") + "\n", encoding="utf-8")
