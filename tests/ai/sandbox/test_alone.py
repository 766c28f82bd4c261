"""The sandbox without the server, as docs/sandbox.md shows it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.ai.sandbox import hostile
from tests.builders.files import linear, saved, scripted
from tests.documents import python_blocks, run_without_django


def test_the_documented_program_runs_a_model_and_stops_a_hostile_one(tmp_path: Path) -> None:
    tasks, program = python_blocks("sandbox.md")
    (tmp_path / "my_tasks.py").write_text(tasks)
    (tmp_path / "my_program.py").write_text(program)
    (tmp_path / "model.pt").write_bytes(saved(linear(2.0)))
    (tmp_path / "reads.pt").write_bytes(scripted(hostile.ReadsAFile("/etc/passwd")))
    # Three ones times two, plus two.
    assert run_without_django(tmp_path / "my_program.py", "model.pt") == "[1, 2] [[8.0, 8.0]]\n"
    said = run_without_django(tmp_path / "my_program.py", "reads.pt")
    assert said.startswith("The model cannot be run: ")


def test_importing_the_package_imports_neither_torch_nor_django() -> None:
    code = "import sys, fl_server_ai.sandbox; print([name for name in ('torch', 'django') if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
