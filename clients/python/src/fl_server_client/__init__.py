"""Take part in federated trainings, or run them, on an fl-server.

`Participant` and `run` take part. `Actor` uploads models, sets up trainings and asks for inferences. The command line
is `fl`. The data of a participant never leave its program.
"""

from .actor import Actor, Inference
from .errors import (
    Damaged,
    FederationError,
    MissingPackage,
    Misused,
    Refused,
    Rejected,
    TrainingFailed,
    Unreachable,
    UnreadableModel,
)
from .http import Client
from .inbox import Agenda, Notification
from .model_format import ModelFormat, NumpyFormat, TorchFormat
from .participant import Participant
from .participant_client import ParticipantClient
from .receiving import Listener, Poller
from .rounds import Invitation, Round
from .running import Account, Listening, Running, run
from .session import Session
from .signatures import Forged, Stale, Verifier

__all__ = [
    "Account",
    "Actor",
    "Agenda",
    "Client",
    "Damaged",
    "FederationError",
    "Forged",
    "Inference",
    "Invitation",
    "Listener",
    "Listening",
    "MissingPackage",
    "Misused",
    "ModelFormat",
    "Notification",
    "NumpyFormat",
    "Participant",
    "ParticipantClient",
    "Poller",
    "Refused",
    "Rejected",
    "Round",
    "Running",
    "Session",
    "Stale",
    "TorchFormat",
    "TrainingFailed",
    "Unreachable",
    "UnreadableModel",
    "Verifier",
    "run",
]
