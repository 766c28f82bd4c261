"""The modules of trusted names. They are imported before any model is loaded; one that fails leaves the others usable.

`python -m fl_server_ai.sandbox.trusted` imports them and reports the failures, for `failing_imports`.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import pkgutil
import subprocess
import sys
from collections.abc import Collection

from fl_server_ai.sandbox.interpreter import command, count_threads, environment

logger = logging.getLogger(__name__)

IMPORT_SECONDS = 60
_LONGEST_ERROR = 300


def trusted_modules(names: Collection[str]) -> list[str]:
    """The modules of trusted names: `module.Class`, `module:Class.Inner`, or all of a package as `package.*`."""
    # A use of getattr stands in parentheses: its owner is named by itself.
    modules = (name.rpartition(":" if ":" in name else ".")[0] for name in names if "(" not in name)
    return list(dict.fromkeys(modules))


def import_trusted(names: Collection[str]) -> set[str]:
    """Import the modules of trusted names, and everything in trusted packages. Returns the modules that fail."""
    failed = set()
    for module in trusted_modules(names):
        found = [module]
        if f"{module}.*" in names and import_error(module) is None:
            path = getattr(sys.modules[module], "__path__", [])
            packages = pkgutil.walk_packages(path, f"{module}.", onerror=lambda _name: None)
            found += [package.name for package in packages]
        for name in found:
            if error := import_error(name):
                logger.warning("The trusted module %s fails on import. %s", name, error)
                failed.add(name)
    return failed


def import_error(module: str) -> str | None:
    """Import a module. Returns what went wrong, if anything."""
    try:
        importlib.import_module(module)
    # Code that anyone may have written: it can raise anything, or ask to end the process.
    except (Exception, SystemExit) as error:  # noqa: BLE001  see above
        return f"{type(error).__name__}: {error}"[:_LONGEST_ERROR]
    return None


def failing_imports(names: Collection[str], seconds: float = IMPORT_SECONDS) -> dict[str, str]:
    """The modules of trusted names that cannot be imported, each with a sentence that says why.

    They are imported in a process of its own: they may be slow, crash, or import torch. After one that takes too long
    or ends the process, the others are not tried.
    """
    modules = trusted_modules(names)
    if not modules:
        return {}
    ending = "It ended the process."
    try:
        done = subprocess.run(  # noqa: S603 - our own program and no shell
            [*command(__name__), *modules],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment(),
            timeout=seconds,
            check=False,
        )
        output: bytes = done.stdout
    except subprocess.TimeoutExpired as error:
        output, ending = error.stdout or b"", f"It took longer than {seconds:g} seconds."
    errors = [json.loads(line) for line in output.splitlines()]
    failing = {module: error for module, error in zip(modules, errors, strict=False) if error}
    if len(errors) < len(modules):
        failing[modules[len(errors)]] = ending
    return failing


def _report(modules: list[str]) -> None:
    """Write one line a module: null, or what is wrong with it."""
    report = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # modules print
    for module in modules:
        before = count_threads()
        error = import_error(module)
        if error is None and count_threads() > before:
            error = "It starts a thread, and a process with threads cannot be forked."
        print(json.dumps(error), file=report, flush=True)
    os._exit(0)  # whatever the modules have registered for the end


if __name__ == "__main__":
    _report(sys.argv[1:])
