"""How sure a model is. Importing this imports neither torch nor Django, and registers every method in this folder."""

import importlib
import pkgutil

from fl_server_ai.uncertainty.none import NoneUncertainty  # the default stands first where one chooses a method

# isort: split
from fl_server_ai.uncertainty.base import Subject, UncertaintyBase
from fl_server_ai.uncertainty.ensemble import Ensemble
from fl_server_ai.uncertainty.mc_dropout import MCDropout
from fl_server_ai.uncertainty.methods import get_uncertainty_class
from fl_server_ai.uncertainty.swag import SWAG
from fl_server_core.schema import UncertaintyOptions

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = [
    "SWAG",
    "Ensemble",
    "MCDropout",
    "NoneUncertainty",
    "Subject",
    "UncertaintyBase",
    "UncertaintyOptions",
    "get_uncertainty_class",
]
