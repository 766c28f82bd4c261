"""The kinds of rounds, one file each. A module here that registers a kind is all that a new kind needs."""

import importlib
import pkgutil

from fl_server_core.registry import round_kinds


def load_kinds() -> None:
    """Register the kinds of this package, and those that installed packages offer."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    round_kinds.load_entry_points()
