from fl_server_core.models.alert import Alert, AlertChannel, AlertCondition, AlertRule, AlertTrainings
from fl_server_core.models.audit import AuditChain, AuditEntry, AuditPending, AuditSeal, Credential, Outcome
from fl_server_core.models.backup_hold import BackupHold
from fl_server_core.models.delivery import Delivery, DeliveryStatus, NotificationType
from fl_server_core.models.event import Event, EventKind
from fl_server_core.models.failed_sign_in import FailedSignIns
from fl_server_core.models.identity import Identity
from fl_server_core.models.installation import Installation
from fl_server_core.models.invitation import Invitation
from fl_server_core.models.metric import Metric
from fl_server_core.models.model import GlobalModel, LocalModel, MeanModel, Model, SWAGModel
from fl_server_core.models.model_version import ModelVersion, VersionFile
from fl_server_core.models.round import Round, RoundOutcome
from fl_server_core.models.stored_file import StoredFile
from fl_server_core.models.submission import Submission, SubmissionFile
from fl_server_core.models.token import AccessToken, Scope
from fl_server_core.models.training import Training
from fl_server_core.models.training_invitation import InvitationState, TrainingInvitation
from fl_server_core.models.user import User

__all__ = [
    "AccessToken",
    "Alert",
    "AlertChannel",
    "AlertCondition",
    "AlertRule",
    "AlertTrainings",
    "AuditChain",
    "AuditEntry",
    "AuditPending",
    "AuditSeal",
    "BackupHold",
    "Credential",
    "Delivery",
    "DeliveryStatus",
    "Event",
    "EventKind",
    "FailedSignIns",
    "GlobalModel",
    "Identity",
    "Installation",
    "Invitation",
    "InvitationState",
    "LocalModel",
    "MeanModel",
    "Metric",
    "Model",
    "ModelVersion",
    "NotificationType",
    "Outcome",
    "Round",
    "RoundOutcome",
    "SWAGModel",
    "Scope",
    "StoredFile",
    "Submission",
    "SubmissionFile",
    "Training",
    "TrainingInvitation",
    "User",
    "VersionFile",
]
