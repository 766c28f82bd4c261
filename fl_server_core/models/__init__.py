from fl_server_core.models.delivery import Delivery, DeliveryStatus, NotificationType
from fl_server_core.models.event import Event, EventKind
from fl_server_core.models.installation import Installation
from fl_server_core.models.metric import Metric
from fl_server_core.models.model import GlobalModel, LocalModel, MeanModel, Model, SWAGModel
from fl_server_core.models.model_version import ModelVersion, VersionFile
from fl_server_core.models.round import Round, RoundOutcome
from fl_server_core.models.stored_file import StoredFile
from fl_server_core.models.submission import Submission, SubmissionFile
from fl_server_core.models.training import Training
from fl_server_core.models.user import User

__all__ = [
    "Delivery",
    "DeliveryStatus",
    "Event",
    "EventKind",
    "GlobalModel",
    "Installation",
    "LocalModel",
    "MeanModel",
    "Metric",
    "Model",
    "ModelVersion",
    "NotificationType",
    "Round",
    "RoundOutcome",
    "SWAGModel",
    "StoredFile",
    "Submission",
    "SubmissionFile",
    "Training",
    "User",
    "VersionFile",
]
