"""Builds the site and checks it: `python -m docs.generator.build FOLDER [SOURCE]`."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from sphinx.cmd.build import main as sphinx

from docs.generator.pages import faults

DOCS = Path(__file__).resolve().parents[1]


def build(folder: Path, source: Path = DOCS) -> int:
    """Build into a folder, which is emptied first. Warnings are errors. Returns the exit code.

    Nothing is kept from build to build: a page changes with the code that it is read from, which Sphinx can't see.
    """
    shutil.rmtree(folder, ignore_errors=True)
    with tempfile.TemporaryDirectory() as work:
        options = ["-b", "html", "-W", "--keep-going", "-q", "-d", work, "-c", str(DOCS)]
        code = sphinx([*options, str(source), str(folder)])
    found = [] if code else faults(folder)
    for fault in found:
        sys.stderr.write(f"{fault}\n")
    return 1 if found else code


if __name__ == "__main__":
    target = Path(sys.argv[1])
    status = build(target, *map(Path, sys.argv[2:3]))
    if not status:
        sys.stdout.write(f"The site is in {target}: open {target / 'index.html'}\n")
    sys.exit(status)
