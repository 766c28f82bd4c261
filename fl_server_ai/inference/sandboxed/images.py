"""From the bytes of an image to a tensor. Decoders are C code that reads hostile bytes: only the sandbox calls this."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, UnidentifiedImageError

if TYPE_CHECKING:
    import torch

MAX_PIXELS = 50_000_000
_FULL_SCALE = {"L": 255, "LA": 255, "RGB": 255, "RGBA": 255, "I;16": 65535, "I": 65535, "F": 1}


def image_tensor(content: bytes) -> torch.Tensor:
    """The first frame as float32 in 0..1, shape (channels, height, width).

    Grey stays one channel, transparency one more; palettes and print colours become red, green and blue. Images of
    floating-point numbers keep their values.

    Raises:
        ValueError: Pillow cannot read the bytes, or the image has more than MAX_PIXELS.
    """
    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pixels, mode = _pixels(content)
    except UnidentifiedImageError as error:  # its own words name an object in memory
        raise ValueError("The image cannot be read: Pillow does not know its format.") from error
    except (OSError, SyntaxError, EOFError, ImportError, Image.DecompressionBombError) as error:
        raise ValueError(f"The image cannot be read: {error}") from error
    scaled = pixels.astype(np.float32) / _FULL_SCALE[mode]
    return torch.from_numpy(np.ascontiguousarray(scaled.reshape(*scaled.shape[:2], -1).transpose(2, 0, 1)))


def _pixels(content: bytes) -> tuple[np.ndarray, str]:
    image: Image.Image = Image.open(io.BytesIO(content))
    if image.width * image.height > MAX_PIXELS:
        raise ValueError(f"The image has more than {MAX_PIXELS} pixels.")
    if image.mode not in _FULL_SCALE:
        image = image.convert(_nearest_mode(image))
    return np.asarray(image), image.mode


def _nearest_mode(image: Image.Image) -> str:
    if image.mode == "1":
        return "L"
    if image.mode.startswith("I;16"):
        return "I"
    return "RGBA" if "transparency" in image.info or image.mode in ("PA", "RGBa") else "RGB"
