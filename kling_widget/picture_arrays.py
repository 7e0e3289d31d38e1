"""Arrays and tensors → Pillow images. NumPy is imported here only, and only when somebody hands an array."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .errors import ImageError

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

_SHAPES = "Height × width, height × width × 3 (RGB) or height × width × 4 (RGBA) can be read."
_ROUNDING = 1e-3  # ours: interpolation overshoots 0..1 by as little; more than that is another scale


def image_from_array(source: Any) -> Image.Image:
    """Read a NumPy array, or anything that gives one (torch tensors: `detach`, `cpu`, `numpy`).

    Parameters
    ----------
    source
        H×W, H×W×3 or H×W×4, uint8 or float 0..1; of what is not itself a NumPy array also 3×H×W, where unambiguous.

    Raises
    ------
    ImageError
        Another shape or type, values outside the range, or NaN.
    """
    import numpy as np
    from PIL import Image

    array = _as_numpy(source)
    if not isinstance(source, np.ndarray):
        array = _channels_last(array)
    if array.size == 0:
        raise ImageError(f"The array is empty: its shape is {array.shape}.", hint=_SHAPES)
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        hint = _SHAPES
        if array.ndim == 3 and array.shape[0] in (1, 3, 4):
            hint += " Move the channels to the end: np.moveaxis(array, 0, -1)."
        elif 1 in array.shape:
            hint += " Drop the axis of length 1: array.squeeze()."
        raise ImageError(f"An array of shape {array.shape} is not a picture.", hint=hint)
    return Image.fromarray(np.ascontiguousarray(_as_bytes(array)))


def _as_numpy(source: Any) -> np.ndarray[Any, Any]:
    import numpy as np

    try:
        if all(callable(getattr(source, name, None)) for name in ("detach", "cpu")):  # a torch tensor, on any device
            source = source.detach().cpu()
            if not hasattr(source, "__array__"):
                source = source.numpy()
        array: np.ndarray[Any, Any] = np.asarray(source)
        return array
    except (TypeError, ValueError, RuntimeError) as error:  # bfloat16, sparse tensors, CuPy's refusal
        raise ImageError(
            f"The {type(source).__name__} gives no array: {error}",
            hint="Convert it to a NumPy array of uint8, or of float32 from 0 to 1.",
        ) from error


def _channels_last(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    if array.ndim != 3 or array.shape[0] != 3:
        return array
    if array.shape[2] in (3, 4):
        raise ImageError(
            f"A tensor of shape {array.shape} can be read in two ways, channels first or last.",
            hint="Give a NumPy array with the channels last.",
        )
    moved: np.ndarray[Any, Any] = array.transpose(1, 2, 0)
    return moved


def _as_bytes(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    import numpy as np

    if array.dtype == np.uint8:
        return array
    if array.dtype.kind != "f":
        hint = "Divide it by 65535." if array.dtype == np.uint16 else "Use uint8, or float from 0 to 1."
        raise ImageError(f"An array of {array.dtype} is not a picture.", hint=hint)
    low, high = float(array.min()), float(array.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ImageError("The array contains NaN or infinity.", hint="Replace them: np.nan_to_num(array).")
    if low < -_ROUNDING or high > 1 + _ROUNDING:
        hint = "Divide it by 255." if 1 < high <= 255 and low >= 0 else "Scale it to 0..1."
        raise ImageError(f"The float array goes from {low:.4g} to {high:.4g}, not from 0 to 1.", hint=hint)
    scaled: np.ndarray[Any, Any] = np.clip(array, 0, 1).astype(np.float32) * 255 + 0.5
    return scaled.astype(np.uint8)
