"""The table of methods in the docs, against the registry."""

from __future__ import annotations

import json
from pathlib import Path

from fl_server_ai.aggregation import Aggregation, get_aggregation_class
from fl_server_core.registry import aggregation_methods
from fl_server_core.schema import wanted

DOCS = Path(__file__).parents[3] / "docs" / "methods.md"


def line_of(method: type[Aggregation]) -> str:
    options = []
    for name, field in method.Options.model_fields.items():
        default = "" if field.default is None else f" ({json.dumps(field.default)})"
        options.append(f"`{name}`{default}: {wanted(field)}")
    cells = [method.name, method.title, method.paper, "; ".join(options), method.needs]
    return "| " + " | ".join(cells).replace("|  |", "| |") + " |"


def test_each_method_has_its_line_in_the_docs_and_no_other_has() -> None:
    lines = [line for line in DOCS.read_text().splitlines() if line.startswith("| ")][1:]
    own = [name for name in list(aggregation_methods) if get_aggregation_class(name).__module__.startswith("fl_server")]
    assert sorted(lines) == sorted(line_of(get_aggregation_class(name)) for name in own)
