"""What an input_shape lets through."""

from __future__ import annotations

import pytest

from fl_server_ai.sandbox import InvalidInput, Sandbox
from tests.ai.sandbox.sandboxes import prediction
from tests.builders.files import linear, saved


def test_the_shape_is_checked_as_far_as_both_go(sandbox: Sandbox) -> None:
    file = saved(linear())
    for shape in ([None, 3], [2, 3], [None], [None, 3, 7], None, []):
        sandbox.run(prediction(file, input_shape=shape), tenant="shape")
    for shape in ([None, 4], [3], [2, 2, None]):
        with pytest.raises(InvalidInput, match=r"^Input shape does not match model input shape\.$"):
            sandbox.run(prediction(file, input_shape=shape), tenant="shape")
