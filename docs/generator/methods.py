"""The methods by the registry, each with the schema of its options."""

from __future__ import annotations

import json

from pydantic import BaseModel

from docs.generator.tables import plain, table


def methods(_: str = "") -> str:
    """A part for each method of aggregation and of uncertainty, and the kinds of rounds."""
    import django

    django.setup()
    from fl_server_core.registry import aggregation_methods, round_kinds, uncertainty_methods
    from fl_server_core.schema import AggregationOptions, UncertaintyOptions

    parts = ["## Aggregation\n", "All methods have these, in `options.aggregation`:\n", _options(AggregationOptions)]
    common = set(AggregationOptions.model_fields)
    parts += [_method(one.name, one.title, one.paper, one.Options, common) for one in aggregation_methods.values()]
    parts += ["## Uncertainty\n", "All methods have these, in `options.uncertainty`:\n", _options(UncertaintyOptions)]
    common = set(UncertaintyOptions.model_fields)
    parts += [_method(one.name, one.title, one.paper, one.Options, common) for one in uncertainty_methods.values()]
    rows = [[f"`{one.name}`", plain(one.title), f"`{one.notification}`"] for one in round_kinds.values()]
    parts += ["## Kinds of rounds\n", table(["kind", "title", "notification"], rows)]
    return "\n".join(parts)


def _method(name: str, title: str, paper: str, options: type[BaseModel], common: set[str]) -> str:
    own = _options(options, common) or "No options of its own.\n"
    about = f"{plain(title)}. {plain(paper)}." if paper else f"{plain(title)}."
    return f"### {name}\n\n{about}\n\n{own}"


def _options(schema: type[BaseModel], without: set[str] = frozenset()) -> str:  # type: ignore[assignment]
    from fl_server_core.schema import wanted

    rows = [
        [f"`{name}`", plain(wanted(field)), "" if field.default is None else f"`{json.dumps(field.default)}`"]
        for name, field in schema.model_fields.items()
        if name not in without
    ]
    return table(["option", "values", "default"], rows)
