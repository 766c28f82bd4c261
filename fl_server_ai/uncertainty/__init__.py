"""How sure a model's answer is. Importing this imports neither torch nor Django."""

from fl_server_ai.uncertainty.base import UncertaintyBase, UncertaintyOptions
from fl_server_ai.uncertainty.ensemble import Ensemble
from fl_server_ai.uncertainty.mc_dropout import MCDropout
from fl_server_ai.uncertainty.methods import get_uncertainty_class
from fl_server_ai.uncertainty.none import NoneUncertainty
from fl_server_ai.uncertainty.swag import SWAG

__all__ = [
    "SWAG",
    "Ensemble",
    "MCDropout",
    "NoneUncertainty",
    "UncertaintyBase",
    "UncertaintyOptions",
    "get_uncertainty_class",
]
