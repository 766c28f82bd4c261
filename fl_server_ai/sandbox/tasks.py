"""What a sandboxed process can be asked to do is a module of its user's.

The module holds `TASKS`, functions by name, and perhaps `warm_up`. A task gets the job's models by name (on the CPU, in
evaluation mode), its arrays and its options, and returns JSON and arrays. It runs behind the walls and cannot open a
file, so it cannot import anything new. `warm_up` runs before the walls are up, and imports or uses once whatever the
tasks will need.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

from fl_server_ai.sandbox.channel import Array

Arrays = Mapping[str, Array]
Options = Mapping[str, Any]
Result = tuple[dict[str, Any], dict[str, Array]]
# The models are torch modules. Any: this file is imported where torch is not.
Task = Callable[[Any, Arrays, Options], Result]


def load_tasks(module: str) -> Mapping[str, Task]:
    """The tasks of a module, warmed up."""
    loaded = importlib.import_module(module)
    if hasattr(loaded, "warm_up"):
        loaded.warm_up()
    tasks: Mapping[str, Task] = loaded.TASKS
    return tasks
