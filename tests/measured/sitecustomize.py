"""Starts coverage in the zygote of the sandboxes, which gets nothing of the environment but PYTHONPATH (see Makefile).

What it forks is locked down and killed: that leaves no figures.
"""

import os
import sys
from pathlib import Path

if "fl_server_ai.sandbox" in sys.orig_argv:
    import coverage

    root = Path(__file__).parents[2]
    os.environ["COVERAGE_PROCESS_START"] = str(root / "pyproject.toml")
    os.environ["COVERAGE_FILE"] = str(root / ".coverage")
    coverage.process_startup()
    del os.environ["COVERAGE_PROCESS_START"], os.environ["COVERAGE_FILE"]
