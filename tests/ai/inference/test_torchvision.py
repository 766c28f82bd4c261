"""Preprocessing by torchvision, an optional package: used where it is installed, named where it is not."""

from __future__ import annotations

import io
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from fl_server_ai.sandbox import ModelRunError, Sandbox, check_runnable
from fl_server_core.archive import ArchiveKind
from tests.ai.sandbox.sandboxes import prediction
from tests.builders.files import saved

with_torchvision = pytest.mark.skipif(find_spec("torchvision") is None, reason="torchvision is not installed")
without_torchvision = pytest.mark.skipif(find_spec("torchvision") is not None, reason="torchvision is installed")


def preprocessed(content: bytes, model: torch.nn.Module, **what: Any) -> Any:
    """A job of a model and its preprocessing, the latter from a file's bytes."""
    job = prediction(saved(model), content, **what)
    job.models[1:] = [job.models[1].named("preprocessing")]  # type: ignore[index]
    return job


@with_torchvision
def test_transforms_are_applied_to_the_decoded_image(sandbox: Sandbox) -> None:
    from torchvision.transforms import v2

    steps = v2.Compose([v2.Resize([2, 2]), v2.Normalize(mean=[0.5], std=[0.5])])
    image = io.BytesIO()
    Image.new("L", (8, 8), 255).save(image, "PNG")
    answer = sandbox.run(preprocessed(saved(steps), torch.nn.Identity(), image=image.getvalue()), tenant="vision")
    np.testing.assert_allclose(answer.arrays["inference"], np.ones((1, 2, 2)), rtol=1e-6)


@with_torchvision
def test_a_lambda_is_no_transform_of_torchvisions_own() -> None:
    from torchvision.transforms import v2

    with pytest.raises(ModelRunError, match="FL_TRUSTED_GLOBALS"):
        check_runnable(saved(v2.Lambda(torch.abs)), ())


@with_torchvision
def test_a_model_of_torchvisions_own_is_run(sandbox: Sandbox) -> None:
    from torchvision.models import resnet18

    model = resnet18(num_classes=3)
    assert check_runnable(saved(model), ()) is ArchiveKind.MODULE
    answer = sandbox.run(prediction(saved(model), array=np.ones((1, 3, 32, 32))), tenant="vision")
    assert answer.arrays["inference"].shape == (1, 3)


class Resize(torch.nn.Module):
    """Pickled under the name of torchvision's transform, as a client that has the package would send it."""


@without_torchvision
def test_where_it_is_not_installed_a_sentence_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys
    from types import ModuleType

    module = ModuleType("torchvision.transforms.v2._geometry")
    module.Resize = Resize  # type: ignore[attr-defined]
    for name in ("torchvision", "torchvision.transforms", "torchvision.transforms.v2"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(Resize, "__module__", module.__name__)
    content = saved(Resize())
    monkeypatch.undo()
    with pytest.raises(ModelRunError, match="needs the package torchvision, which this server does not have"):
        check_runnable(content, ())
