"""What participants without torch work on."""

import numpy as np
import pytest
import safetensors.numpy
from fl_server_client import NumpyFormat, UnreadableModel

pytestmark = pytest.mark.once


def test_arrays_come_with_their_names_and_types_and_can_be_changed() -> None:
    given = {"weight": np.arange(6, dtype=np.float32).reshape(2, 3), "steps": np.array(7)}
    arrays = NumpyFormat().load(safetensors.numpy.save(given))
    assert {name: (value.dtype, value.tolist()) for name, value in arrays.items()} == {
        "weight": (np.dtype(np.float32), [[0, 1, 2], [3, 4, 5]]),
        "steps": (np.dtype(np.int64), 7),
    }
    arrays["weight"] += 1
    assert safetensors.numpy.load(NumpyFormat().save(arrays))["weight"].tolist() == [[1, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"\xff" * 64])
def test_what_is_not_a_safetensors_file_is_refused(data: bytes) -> None:
    with pytest.raises(UnreadableModel, match="cannot be loaded"):
        NumpyFormat().load(data)
