"""What runs inside the sandbox: the tasks of an inference, free of Django."""

from fl_server_ai.inference.names import ENCODE, LAYER_STATISTICS, MEAN_MODULE, PREDICT
from fl_server_ai.inference.sandboxed.encode import encode
from fl_server_ai.inference.sandboxed.mean import mean_module
from fl_server_ai.inference.sandboxed.predict import predict
from fl_server_ai.inference.sandboxed.statistics import layer_statistics
from fl_server_ai.inference.sandboxed.warm_up import warm_up
from fl_server_ai.sandbox.tasks import Task

__all__ = ["TASKS", "warm_up"]

TASKS: dict[str, Task] = {
    PREDICT: predict,
    LAYER_STATISTICS: layer_statistics,
    MEAN_MODULE: mean_module,
    ENCODE: encode,
}
