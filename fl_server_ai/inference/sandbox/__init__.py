"""Runs models in processes that can reach nothing. Importing this imports neither torch nor Django."""

from fl_server_ai.inference.sandbox.job import PREPROCESSING, Answer, Job, ModelSource
from fl_server_ai.inference.sandbox.limits import sandbox_support
from fl_server_ai.inference.sandbox.pool import Sandbox

__all__ = ["PREPROCESSING", "Answer", "Job", "ModelSource", "Sandbox", "sandbox_support"]
