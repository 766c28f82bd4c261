"""Interpreters of the sandbox: nothing of the server's environment, the same packages."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import fl_server_ai


def command(module: str) -> list[str]:
    """How to run a module, with neither the current folder nor the user's own packages on the path."""
    return [sys.executable, "-P", "-s", "-m", module]


def environment() -> dict[str, str]:
    """The variables of the zygote: none of the server's, which hold secrets."""
    root = str(Path(fl_server_ai.__file__).parent.parent)
    # Where the operator's own packages (FL_TRUSTED_GLOBALS, methods) may lie.
    added = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path and path != root]
    chosen = {name: os.environ[name] for name in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER") if name in os.environ}
    return {
        **chosen,
        "CUDA_CACHE_DISABLE": "1",  # it would need a folder to write to
        "PYTHONPATH": os.pathsep.join([root, *added]),
        "LANG": "C.UTF-8",
        # A process with threads could not be forked. A child starts its threads after the fork.
        **dict.fromkeys(["OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"], "1"),
    }


def count_threads() -> int:
    """Threads of this process; 1 where the system does not tell."""
    threads = Path("/proc/self/task")
    return len(list(threads.iterdir())) if threads.is_dir() else 1
