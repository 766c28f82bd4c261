"""The values of a metric, as scripts and shells set and read them."""

from __future__ import annotations

import math

import pytest
import torch

from fl_server_core.models import Metric, User
from tests.builders.files import flat, linear, saved
from tests.builders.rows import make_model

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("value", [0.5, 3, math.inf, -math.inf, b"bytes", b""])
def test_a_metric_s_value_is_what_was_set(owner: User, value: float | bytes) -> None:
    metric = Metric(model=make_model(owner), key="loss")
    metric.value = value
    metric.save()
    found = Metric.objects.get()
    assert found.value == value
    assert (found.is_float(), found.is_binary()) == (not isinstance(value, bytes), isinstance(value, bytes))


def test_a_metric_may_be_no_number_and_its_value_may_be_deleted(owner: User) -> None:
    metric = Metric(model=make_model(owner), key="loss")
    metric.value = math.nan
    metric.save()
    found = Metric.objects.get()
    assert isinstance(found.value, float)
    assert math.isnan(found.value)
    assert found.is_float()
    del found.value
    assert (found.value_float, found.value_special, found.value_binary) == (None, "", None)
    found.value = b"x"
    found.value = None
    assert (found.value, found.is_binary()) == (None, False)


def test_a_binary_metric_is_loaded_by_torch(owner: User) -> None:
    metric = Metric(model=make_model(owner), key="matrix")
    metric.value = saved(torch.eye(2))
    loaded = metric.to_torch()
    assert isinstance(loaded, torch.Tensor)
    assert loaded.tolist() == [[1, 0], [0, 1]]
    metric.value = saved(linear(2.0))
    module = metric.to_torch()
    assert isinstance(module, torch.nn.Module)
    assert flat(module).tolist() == [2.0] * 8
    metric.value = 1.0
    with pytest.raises(ValueError, match="not a binary value"):
        metric.to_torch()
