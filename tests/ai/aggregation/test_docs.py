"""The table of methods in the docs, against the registry; and the docs' example of a method."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from fl_server_ai.aggregation import Aggregation, CannotAggregate, get_aggregation_class
from fl_server_ai.aggregation.influence import UpdateFigures
from fl_server_core.registry import aggregation_methods
from fl_server_core.schema import AggregationOptions, wanted
from fl_server_core.selectors.figures import REPLAY_OF
from tests.ai.aggregation.arrays import reduce_arrays
from tests.documents import execute, python_blocks

DOCS = Path(__file__).parents[3] / "docs" / "methods.md"


def line_of(method: type[Aggregation]) -> str:
    options = []
    for name, field in method.Options.model_fields.items():
        default = "" if field.default is None else f" ({json.dumps(field.default)})"
        options.append(f"`{name}`{default}: {wanted(field)}")
    cells = [method.name, method.title, method.paper, "; ".join(options), method.needs]
    return "| " + " | ".join(cells).replace("|  |", "| |") + " |"


def rows(heading: str = "") -> list[str]:
    """The table's lines in the part of the document with this heading, or in the first one."""
    parts = DOCS.read_text().split("\n## ")
    (part,) = [part for part in parts[1:] if part.startswith(heading)] if heading else parts[:1]
    return [line for line in part.partition("\n### ")[0].splitlines() if line.startswith("| ")][1:]


def test_each_bound_has_its_line_in_the_docs_with_its_values() -> None:
    wanted_cells = []
    for name, field in AggregationOptions.model_fields.items():
        default = "" if field.default is None else f" ({json.dumps(field.default)})"
        wanted_cells.append([f"`{name}`", wanted(field) + default])
    assert [line.strip("| ").split(" | ")[:2] for line in rows("Bounds")] == wanted_cells


def test_each_figure_has_its_line_in_the_docs() -> None:
    figures = UpdateFigures(1.0, 1.0, 1.0, 1.0, (0.5, 1.0)).as_json()
    described = DOCS.read_text().partition("\n### The figures")[2].partition("\n## ")[0]
    names = [line.split("`")[1] for line in described.splitlines() if line.startswith("| `")]
    assert names == [*figures, REPLAY_OF]


def test_each_method_has_its_line_in_the_docs_and_no_other_has() -> None:
    lines = rows()
    own = [name for name in list(aggregation_methods) if get_aggregation_class(name).__module__.startswith("fl_server")]
    assert sorted(lines) == sorted(line_of(get_aggregation_class(name)) for name in own)


@pytest.fixture
def example() -> Iterator[type[Aggregation]]:
    before = set(aggregation_methods)
    execute(python_blocks("adding-a-method.md")[0])
    (added,) = set(aggregation_methods) - before
    yield get_aggregation_class(added)
    del aggregation_methods[added]


def test_the_example_of_a_method_works(example: type[Aggregation]) -> None:
    values = [9.0, 1.0, 2.0, 3.0, -50.0]
    arrays = [np.full(3, value, np.float32) for value in values]
    assert reduce_arrays(example({}), arrays, [1] * 5).tolist() == [2.0] * 3  # 1, 1, 2, 3, 3
    assert reduce_arrays(example({"outliers": 2}), arrays, [1] * 5).tolist() == [2.0] * 3
    assert reduce_arrays(example({"outliers": 0}), arrays, [1] * 5).tolist() == [-7.0] * 3
    with pytest.raises(CannotAggregate, match=r"needs at least 5 updates; there are 4\.$"):
        example({"outliers": 2}).check_count(4)
    with pytest.raises(CannotAggregate, match="outliers must be a whole number from 0 to 1000"):
        example({"outliers": -1})
    for part in ("name", "title", "paper", "needs"):
        assert isinstance(getattr(example, part), str)
