from fl_server_core.models.answer import Answer, Phase
from fl_server_core.models.delivery import Delivery, DeliveryStatus
from fl_server_core.models.installation import Installation
from fl_server_core.models.metric import Metric
from fl_server_core.models.model import GlobalModel, LocalModel, MeanModel, Model, SWAGModel
from fl_server_core.models.training import Training
from fl_server_core.models.training_event import EventKind, TrainingEvent
from fl_server_core.models.user import User

__all__ = [
    "Answer",
    "Delivery",
    "DeliveryStatus",
    "EventKind",
    "GlobalModel",
    "Installation",
    "LocalModel",
    "MeanModel",
    "Metric",
    "Model",
    "Phase",
    "SWAGModel",
    "Training",
    "TrainingEvent",
    "User",
]
