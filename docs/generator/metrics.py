"""The figures that the server publishes at /metrics, from its catalogue of them."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

from docs.generator.tables import plain, table

CATALOGUE = "fl_server_api.monitoring.catalogue"


def metrics(_: str = "") -> str:
    """A table of all of them; a sentence if the server has no catalogue."""
    package = CATALOGUE.rpartition(".")[0]
    if find_spec(package) is None or find_spec(CATALOGUE) is None:
        return "This version of the server publishes no figures.\n"
    found = [one for one in vars(import_module(CATALOGUE)).values() if _is_figure(one)]
    rows = [
        [f"`{one.name}`", one.kind, plain(one.meaning), ", ".join(f"`{label}`" for label in one.labels)]
        for one in found
    ]
    return table(["figure", "kind", "what it says", "labels"], rows)


def _is_figure(thing: object) -> bool:
    return not isinstance(thing, type) and all(hasattr(thing, name) for name in ("name", "kind", "labels", "meaning"))
