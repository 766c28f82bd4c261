"""Runs models in processes that can reach nothing. Importing this imports neither torch nor Django."""

from fl_server_ai.sandbox.configuration import ChildSetup, RequestLimits
from fl_server_ai.sandbox.errors import (
    InvalidInput,
    ModelNotTrusted,
    ModelRunError,
    ModelStopped,
    SandboxBusy,
    SandboxError,
    SandboxFailed,
)
from fl_server_ai.sandbox.job import Job, ModelSource, Reply
from fl_server_ai.sandbox.limits import sandbox_support
from fl_server_ai.sandbox.policy import check_runnable
from fl_server_ai.sandbox.pool import Sandbox
from fl_server_ai.sandbox.walls import Wall, standing, summary
from fl_server_ai.sandbox.watching import Change, Watch, watch_nothing

__all__ = [
    "Change",
    "ChildSetup",
    "InvalidInput",
    "Job",
    "ModelNotTrusted",
    "ModelRunError",
    "ModelSource",
    "ModelStopped",
    "Reply",
    "RequestLimits",
    "Sandbox",
    "SandboxBusy",
    "SandboxError",
    "SandboxFailed",
    "Wall",
    "Watch",
    "check_runnable",
    "sandbox_support",
    "standing",
    "summary",
    "watch_nothing",
]
