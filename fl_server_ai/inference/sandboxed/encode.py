"""A prediction as a file."""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np

from fl_server_ai.inference.names import INFERENCE, UNCERTAINTY
from fl_server_ai.sandbox.tasks import Arrays, Options, Result


def encode(_models: Any, arrays: Arrays, options: Options) -> Result:
    """A reply of `predict` as a file: a pickled dict of tensors, or one that torch.load reads.

    A task of its own, for a process that has never run a model: the reader of the file unpickles it, and so trusts it.

    options: measures, as `predict` replied; format, `binary` or `torch`. Replies with the array `file`.
    """
    import torch

    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    measures = {name: tensors.get(UNCERTAINTY + name) for name in options["measures"]}
    found = {"inference": tensors[INFERENCE], "uncertainty": measures}
    if options["format"] == "binary":
        content = pickle.dumps(found)
    else:
        buffer = io.BytesIO()
        torch.save(found, buffer)
        content = buffer.getvalue()
    return {}, {"file": np.frombuffer(content, dtype=np.uint8)}
