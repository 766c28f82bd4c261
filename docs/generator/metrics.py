"""The metrics that the server publishes, read from the source: calls such as `Counter("name", "help", […])`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from docs.generator.refusals import text_of
from docs.generator.tables import plain, table

REPOSITORY = Path(__file__).resolve().parents[2]
KINDS = ("Counter", "Gauge", "Histogram", "Summary", "Info")
FAMILIES = tuple(f"{kind}MetricFamily" for kind in KINDS)


def metrics(_: str = "") -> str:
    """A table of all metrics; a sentence if there are none."""
    rows = [list(row) for row in sorted(set(found()))]
    if not rows:
        return "This version of the server publishes no metrics.\n"
    return table(["metric", "kind", "what it counts", "labels"], rows)


def found() -> Iterator[tuple[str, str, str, str]]:
    """Name, kind, help and labels of each metric."""
    for place in ("fl_server", "fl_server_api", "fl_server_ai", "fl_server_core"):
        for file in sorted((REPOSITORY / place).rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and (row := _row(node)):
                    yield row


def _row(call: ast.Call) -> tuple[str, str, str, str] | None:
    kind = call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")
    texts = [text_of(one) for one in call.args[:2]]
    if kind not in KINDS + FAMILIES or len(texts) != 2 or not all(texts) or "_" not in texts[0]:
        return None
    named = {one.arg: one.value for one in call.keywords}
    labels = named.get("labelnames") or named.get("labels") or (call.args[2] if len(call.args) > 2 else None)
    names = [text_of(one) for one in getattr(labels, "elts", ())]
    shown = ", ".join(f"`{name}`" for name in names)
    return f"`{texts[0]}`", kind.removesuffix("MetricFamily").lower(), plain(texts[1]), shown
