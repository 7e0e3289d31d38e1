"""The request's later fields, from the vendor's OpenAPI file: areas that move, and the camera."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from .errors import InvalidRequestError
from .rules import check_picture, shown

if TYPE_CHECKING:
    from .request import ImageToVideoRequest

MAX_DYNAMIC_MASKS = 6  # vendor's OpenAPI file
TRAJECTORY_POINTS = (2, 77)  # fewest and most; vendor's OpenAPI file
CAMERA_RANGE = 10.0  # each movement is -10..10; vendor's OpenAPI file


class Point(msgspec.Struct, frozen=True):
    """A point of a trajectory, in pixels of the first frame; the origin is its lower left corner.

    So says Kling's own API documentation ("Image to Video", ``dynamic_masks``); the AI/ML API's does not.
    """

    x: float
    y: float


class DynamicMask(msgspec.Struct, frozen=True):
    """An area that moves: its mask picture (URL or Base64) and 2 to 77 points of its path.

    The mask has the first frame's aspect ratio, and all masks of a request have one size, or the generation fails
    (Kling's own API documentation). What a mask's colours mean is documented by neither vendor.
    """

    mask: str
    trajectories: tuple[Point, ...]


class CameraConfig(msgspec.Struct, frozen=True, omit_defaults=True):
    """Camera movements, each -10 to 10; what is not set is not sent. Which way is which: `kling_widget.camera.WAYS`."""

    horizontal: float | None = None
    vertical: float | None = None
    pan: float | None = None
    tilt: float | None = None
    roll: float | None = None
    zoom: float | None = None


class CameraControl(msgspec.Struct, frozen=True, omit_defaults=True):
    """A camera movement by name; ``simple`` takes a ``config``."""

    type: Literal["simple", "down_back", "forward_up", "right_turn_forward", "left_turn_forward"]
    config: CameraConfig | None = None


def dynamic_masks(value: object) -> tuple[DynamicMask, ...]:
    """The masks, from objects or mappings of the same keys. Raises `InvalidRequestError`."""
    masks: tuple[DynamicMask, ...] = _converted("dynamic_masks", value, tuple[DynamicMask, ...])
    if len(masks) > MAX_DYNAMIC_MASKS:
        raise InvalidRequestError(f"dynamic_masks takes at most {MAX_DYNAMIC_MASKS} masks, not {len(masks)}.")
    fewest, most = TRAJECTORY_POINTS
    for mask in masks:
        check_picture("dynamic_masks.mask", mask.mask, required=True)
        if not fewest <= len(mask.trajectories) <= most:
            raise InvalidRequestError(
                f"A dynamic mask's trajectory takes {fewest} to {most} points, not {len(mask.trajectories)}."
            )
        if not all(math.isfinite(point.x) and math.isfinite(point.y) for point in mask.trajectories):
            raise InvalidRequestError("A dynamic mask's trajectory has a point that is not a finite number.")
    return masks


def camera_control(value: object) -> CameraControl:
    """The camera movement, from an object or a mapping of the same keys. Raises `InvalidRequestError`."""
    control: CameraControl = _converted("camera_control", value, CameraControl)
    for name in CameraConfig.__struct_fields__:
        amount = getattr(control.config, name) if control.config else None
        if amount is not None and not -CAMERA_RANGE <= amount <= CAMERA_RANGE:
            raise InvalidRequestError(
                f"camera_control.config.{name} must be -10 to 10, not {shown(amount)}.", field="camera_control"
            )
    return control


def camera_json(value: object) -> dict[str, Any]:
    """The same as JSON, as it is sent. Raises `InvalidRequestError`."""
    plain: dict[str, Any] = msgspec.to_builtins(camera_control(value))
    return plain


def advice(request: ImageToVideoRequest) -> dict[str, str]:
    """What Kling's own API documentation rules out and the AI/ML API's does not mention: a sentence by field."""
    camera = request.camera_control
    kinds = {
        "tail_image_url": request.tail_image_url is not None and "a last frame",
        "dynamic_masks": (request.static_mask is not None or bool(request.dynamic_masks)) and "a motion brush",
        "camera_control": camera is not None and "a camera",
    }
    given = {field: name for field, name in kinds.items() if name}
    if len(given) > 1:
        *others, last = given.values()
        told = f"{', '.join(others)} and {last}"
        return {list(given)[-1]: f"The model may refuse {told} together: Kling takes one of them."}
    moves = msgspec.to_builtins(camera.config) if camera is not None and camera.config is not None else {}
    several = [f"{name} {amount:g}" for name, amount in moves.items() if amount]
    if camera is not None and camera.type == "simple" and len(several) > 1:
        return {"camera_control": f"The model may refuse {' and '.join(several)} together: Kling takes one movement."}
    return {}


def _converted(field: str, value: object, kind: Any) -> Any:
    try:
        return msgspec.convert(msgspec.to_builtins(value), kind)
    except (msgspec.ValidationError, TypeError) as error:
        raise InvalidRequestError(f"{field} is not valid: {error}.", field=field) from None
