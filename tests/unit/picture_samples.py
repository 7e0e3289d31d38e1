"""Pictures that tests save in every format."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pillow_heif
from PIL import Image

PHOTOS = Path(__file__).parents[2] / "notebooks" / "images"
COFFEE = Image.open(PHOTOS / "coffee.png").convert("RGB")
LIMIT = 10_000_000


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    if kind == "HEIF":
        pillow_heif.from_pillow(image).save(stream, **options)
    else:
        image.save(stream, kind, **options)
    return stream.getvalue()


def noisy_photo(width: int, height: int) -> Image.Image:
    random = np.random.default_rng(2)
    base = np.asarray(COFFEE.resize((width, height)), np.int16)
    return Image.fromarray(np.clip(base + random.integers(-60, 61, base.shape), 0, 255).astype(np.uint8))


class Tensor:
    """What torch offers of a tensor on a device: no array before `detach` and `cpu`."""

    def __init__(self, array: np.ndarray, *, on_cpu: bool = False) -> None:
        self.array, self.on_cpu = array, on_cpu

    def detach(self) -> Tensor:
        return self

    def cpu(self) -> Tensor:
        return Tensor(self.array, on_cpu=True)

    def numpy(self) -> np.ndarray:
        if not self.on_cpu:
            raise TypeError("can't convert cuda:0 device type tensor to numpy")
        return self.array

    def __array__(self, *args: object, **options: object) -> np.ndarray:
        return self.numpy()
