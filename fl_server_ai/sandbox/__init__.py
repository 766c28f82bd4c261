"""Runs models in processes that can reach nothing. Importing this imports neither torch nor Django."""

from fl_server_ai.sandbox.configuration import ChildSetup, RequestLimits
from fl_server_ai.sandbox.devices import WALLS_IN_THE_WAY, Device, find_device
from fl_server_ai.sandbox.errors import (
    DeviceFailed,
    InvalidInput,
    ModelNotTrusted,
    ModelRunError,
    ModelStopped,
    NeedsAllWalls,
    SandboxBusy,
    SandboxError,
    SandboxFailed,
    WrongShape,
)
from fl_server_ai.sandbox.job import Job, ModelSource, Reply
from fl_server_ai.sandbox.limits import sandbox_support
from fl_server_ai.sandbox.policy import check_runnable
from fl_server_ai.sandbox.pool import Sandbox
from fl_server_ai.sandbox.walls import Wall, standing, summary
from fl_server_ai.sandbox.watching import Change, Watch, watch_nothing

__all__ = [
    "WALLS_IN_THE_WAY",
    "Change",
    "ChildSetup",
    "Device",
    "DeviceFailed",
    "InvalidInput",
    "Job",
    "ModelNotTrusted",
    "ModelRunError",
    "ModelSource",
    "ModelStopped",
    "NeedsAllWalls",
    "Reply",
    "RequestLimits",
    "Sandbox",
    "SandboxBusy",
    "SandboxError",
    "SandboxFailed",
    "Wall",
    "Watch",
    "WrongShape",
    "check_runnable",
    "find_device",
    "sandbox_support",
    "standing",
    "summary",
    "watch_nothing",
]
