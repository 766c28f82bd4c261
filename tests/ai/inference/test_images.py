"""Images as tensors, in a process that may be taken over by a broken one."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from fl_server_ai.inference.sandboxed import images
from fl_server_ai.sandbox import InvalidInput, Sandbox
from tests.ai.sandbox.sandboxes import prediction
from tests.builders.files import saved


def file_of(image: Image.Image, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def test_channels_come_first_and_values_lie_between_zero_and_one() -> None:
    image = Image.new("RGB", (2, 1))
    image.putpixel((0, 0), (255, 0, 51))
    image.putpixel((1, 0), (0, 255, 102))
    tensor = images.image_tensor(file_of(image))
    assert tensor.dtype is torch.float32
    expected = torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]], [[0.2, 0.4]]])
    torch.testing.assert_close(tensor, expected)


@pytest.mark.parametrize(
    ("mode", "kind", "channels"),
    [
        ("1", "PNG", 1),
        ("L", "PNG", 1),
        ("LA", "PNG", 2),
        ("P", "PNG", 3),
        ("RGB", "BMP", 3),
        ("RGBA", "PNG", 4),
        ("CMYK", "JPEG", 3),
        ("YCbCr", "JPEG", 3),
        ("I;16", "PNG", 1),
        ("F", "TIFF", 1),
    ],
)
def test_every_mode_becomes_channels_height_width(mode: str, kind: str, channels: int) -> None:
    tensor = images.image_tensor(file_of(Image.new(mode, (3, 2)), kind))
    assert tensor.shape == (channels, 2, 3)
    assert ((tensor >= 0) & (tensor <= 1)).all()


def test_sixteen_bits_are_scaled_by_their_own_range() -> None:
    image = Image.fromarray(np.array([[0, 13107, 65535]], dtype=np.uint16))
    torch.testing.assert_close(images.image_tensor(file_of(image)), torch.tensor([[[0.0, 0.2, 1.0]]]))


def test_black_and_white_are_zero_and_one() -> None:
    image = Image.new("1", (2, 1))
    image.putpixel((1, 0), 1)
    assert images.image_tensor(file_of(image)).tolist() == [[[0.0, 1.0]]]


def test_a_picture_too_large_is_refused_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MAX_PIXELS", 15)
    with pytest.raises(ValueError, match="more than 15 pixels"):
        images.image_tensor(file_of(Image.new("L", (4, 4))))


def test_the_sandbox_decodes_and_asks_the_model(sandbox: Sandbox) -> None:
    total = torch.nn.Linear(16, 2, bias=False)
    torch.nn.init.ones_(total.weight)
    model = torch.nn.Sequential(torch.nn.Flatten(), total)
    job = prediction(saved(model), image=file_of(Image.new("L", (4, 4), 255)), input_shape=[None, 4, 4])
    np.testing.assert_allclose(sandbox.run(job, tenant="image").arrays["inference"], [[16.0, 16.0]])


def test_the_sandbox_converts_what_needs_a_library_of_its_own(sandbox: Sandbox) -> None:
    job = prediction(saved(torch.nn.Flatten()), image=file_of(Image.new("LAB", (2, 2)), "TIFF"))
    assert sandbox.run(job, tenant="image").arrays["inference"].shape == (3, 4)


@pytest.mark.parametrize("content", [b"garbage", file_of(Image.new("L", (64, 64), 7))[:60], b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_image_is_the_inputs_fault(sandbox: Sandbox, content: bytes) -> None:
    with pytest.raises(InvalidInput, match="image cannot be read"):
        sandbox.run(prediction(saved(torch.nn.Flatten()), image=content), tenant="image")
