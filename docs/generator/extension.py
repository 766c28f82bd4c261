"""What Sphinx asks us: generated parts and moved links in a page's source, diagrams in the page, plain docstrings."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

from docs.generator import expand
from docs.generator.navigation import moved_links


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect to Sphinx."""
    app.connect("source-read", _read)
    app.connect("doctree-read", _inline_diagrams)
    app.connect("autodoc-process-docstring", _docstring)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _read(app: Sphinx, name: str, source: list[str]) -> None:
    if app.env.doc2path(name).suffix == ".md":
        source[0] = expand(moved_links(source[0], f"docs/{name}.md"))


def _inline_diagrams(app: Sphinx, tree: nodes.document) -> None:
    """Put diagrams into the page itself, where its style reaches them."""
    for image in list(tree.findall(nodes.image)):
        path = Path(app.srcdir) / image["uri"]
        if path.parent.name == "diagrams" and path.suffix == ".svg":
            drawing = path.read_text(encoding="utf-8")
            label = nodes.Text(image.get("alt", "")).astext().replace('"', "")
            drawing = drawing.replace("<svg ", f'<svg class="diagram" role="img" aria-label="{label}" ', 1)
            drawing = re.sub(r"<style>.*?</style>", "", drawing, flags=re.DOTALL)
            image.replace_self(nodes.raw("", drawing, format="html"))


def _docstring(app: Sphinx, kind: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Single backticks mean code in our docstrings."""
    lines[:] = [re.sub(r"(?<![`:])`([^`]+)`(?!`)", r"``\1``", line) for line in lines]
