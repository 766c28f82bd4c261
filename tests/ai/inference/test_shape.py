"""What an input_shape lets through."""

from __future__ import annotations

import pytest

from fl_server_ai.sandbox import Sandbox, WrongShape
from tests.ai.sandbox.sandboxes import prediction
from tests.builders.files import linear, saved


def test_the_shape_is_checked_as_far_as_both_go(sandbox: Sandbox) -> None:
    file = saved(linear())
    for shape in ([None, 3], [2, 3], [None], [None, 3, 7], None, []):
        sandbox.run(prediction(file, input_shape=shape), tenant="shape")
    for shape, written in (([None, 4], "[?, 4]"), ([3], "[3]"), ([2, 2, None], "[2, 2, ?]")):
        with pytest.raises(WrongShape) as refusal:
            sandbox.run(prediction(file, input_shape=shape), tenant="shape")
        assert str(refusal.value) == (
            "Input shape does not match model input shape. What reaches the model has the shape [2, 3]; "
            f"its input_shape is {written}, in which ? is free."
        )
