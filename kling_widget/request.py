"""``ImageToVideoRequest``: the body of one submission, with its rules.

Field names, types and rules are those of the vendor's specification
(``POST /v2/generate/video/kling/generation``). Only fields that were set are sent.
"""

from __future__ import annotations

import copy
import hashlib
import math
import os
import re
import sys
import warnings
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec

from .errors import InvalidRequestError

MODEL = "kling-video/v1.6/pro/image-to-video"  # the specification's only value
DURATIONS = (5, 10)  # seconds; the specification's enum
RATIOS = ("16:9", "9:16", "1:1")  # the specification's enum of the two deprecated fields
CAMERA_TYPES = ("simple", "down_back", "forward_up", "right_turn_forward", "left_turn_forward")  # vendor's OpenAPI file
MAX_DYNAMIC_MASKS = 6  # vendor's OpenAPI file
TRAJECTORY_POINTS = (2, 77)  # fewest and most; vendor's OpenAPI file
CAMERA_RANGE = 10.0  # each movement is -10..10; vendor's OpenAPI file
PROMPT_ADVICE = 2500  # characters; other public Kling clients refuse more, this vendor documents no limit

PICTURE_FIELDS = ("image_url", "tail_image_url", "static_mask")

_REFERENCE = re.compile(r"sha256:[0-9a-f]{64}\Z")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{64,}={0,2}\Z")
_PACKAGE = os.path.dirname(__file__)


class Point(msgspec.Struct, frozen=True):
    """A point of a trajectory, in pixels of the picture."""

    x: float
    y: float


class DynamicMask(msgspec.Struct, frozen=True):
    """An area that moves: its mask picture (URL or Base64) and 2 to 77 points of its path."""

    mask: str
    trajectories: tuple[Point, ...]


class CameraConfig(msgspec.Struct, frozen=True, omit_defaults=True):
    """Camera movements, each -10 to 10; what is not set is not sent."""

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


class ImageToVideoRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One request to turn an image into a video.

    Parameters
    ----------
    image_url
        First frame: an ``http(s)`` URL, a ``data:image/…;base64,`` URI, or Base64 of a JPEG or PNG.
    prompt
        Scene, subject or action.
    tail_image_url
        Last frame, in the same forms.
    negative_prompt
        What to avoid.
    duration
        5 or 10 seconds.
    cfg_scale
        How closely to follow the prompt, 0 to 1.
    ratio, aspect_ratio
        ``16:9``, ``9:16`` or ``1:1``. Deprecated by the vendor: the video has the picture's aspect ratio.
    static_mask
        Picture (URL or Base64) of the area that stays still.
    dynamic_masks
        At most six areas that move, as :class:`DynamicMask` or mappings of the same keys.
    camera_control
        A :class:`CameraControl` or a mapping of the same keys.
    model
        The vendor's model id; there is one.

    Raises
    ------
    InvalidRequestError
        A field breaks its rule; the sentence names the field, the rule and the value.
    """

    image_url: str
    prompt: str
    model: str = MODEL
    tail_image_url: str | None = None
    negative_prompt: str | None = None
    duration: int | None = None
    cfg_scale: float | None = None
    ratio: str | None = None
    aspect_ratio: str | None = None
    static_mask: str | None = None
    dynamic_masks: tuple[DynamicMask, ...] | None = None
    camera_control: CameraControl | None = None

    def __post_init__(self) -> None:
        if self.model != MODEL:
            raise InvalidRequestError(f"model must be {MODEL!r}, not {_shown(self.model)}.", field="model")
        check_text("prompt", self.prompt, required=True)
        check_text("negative_prompt", self.negative_prompt)
        check_duration(self.duration)
        check_cfg_scale(self.cfg_scale)
        _check_picture("image_url", self.image_url, required=True)
        _check_picture("tail_image_url", self.tail_image_url)
        _check_picture("static_mask", self.static_mask)
        self._check_deprecated()
        force = msgspec.structs.force_setattr
        if self.duration is not None:
            force(self, "duration", int(self.duration))  # a NumPy integer out of a DataFrame
        if self.cfg_scale is not None and not isinstance(self.cfg_scale, int):
            force(self, "cfg_scale", float(self.cfg_scale))
        if self.dynamic_masks is not None:
            force(self, "dynamic_masks", _dynamic_masks(self.dynamic_masks))
        if self.camera_control is not None:
            force(self, "camera_control", _camera_control(self.camera_control))

    def _check_deprecated(self) -> None:
        for field in ("ratio", "aspect_ratio"):
            value = getattr(self, field)
            if value is None:
                continue
            if value not in RATIOS:
                choices = ", ".join(RATIOS)
                raise InvalidRequestError(f"{field} must be one of {choices}, not {_shown(value)}.", field=field)
            warnings.warn(
                f"{field} is deprecated by the vendor: the video takes the picture's aspect ratio.",
                DeprecationWarning,
                stacklevel=_callers_level(),
            )

    def body(self) -> dict[str, Any]:
        """The fields that were set, as the JSON object that is sent (``cfg_scale=0`` is sent as 0)."""
        given = {name: getattr(self, name) for name in _WIRE_ORDER}
        return {name: value for name, value in given.items() if value is not None}

    def to_json(self) -> bytes:
        """The bytes of the request body.

        Raises
        ------
        InvalidRequestError
            A picture is only a reference (see :meth:`filled`): sending it would ask for something else.
        """

        def refuse(reference: str) -> str:
            raise InvalidRequestError(f"The picture {reference} was not put in before sending.")

        return msgspec.json.encode(self.filled(refuse).body())

    def content_hash(self) -> str:
        """SHA-256 (hex) of what is asked for: equal for equal requests. Meant for requests with references."""
        return hashlib.sha256(msgspec.json.encode(self.body(), order="deterministic")).hexdigest()

    def filled(self, resolve: Callable[[str], str]) -> ImageToVideoRequest:
        """A copy in which every picture reference (``sha256:<hex>``) is replaced by what `resolve` gives for it."""
        force = msgspec.structs.force_setattr
        filled = copy.copy(self)

        def fill(value: str) -> str:
            return resolve(value) if is_reference(value) else value

        for name in PICTURE_FIELDS:
            if (value := getattr(self, name)) is not None:
                force(filled, name, fill(value))
        if self.dynamic_masks is not None:
            masks = tuple(msgspec.structs.replace(mask, mask=fill(mask.mask)) for mask in self.dynamic_masks)
            force(filled, "dynamic_masks", masks)
        return filled

    def preflight(self) -> dict[str, str]:
        """What the model will probably not take: a sentence by field. Advice: the vendor documents no such limit."""
        texts = {"prompt": self.prompt, "negative_prompt": self.negative_prompt or ""}
        most = f"the model takes at most {PROMPT_ADVICE:,}"
        return {
            field: f"The {field.replace('_', ' ')} has {len(text):,} characters; {most}."
            for field, text in texts.items()
            if len(text) > PROMPT_ADVICE
        }

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={_shown(value)}" for name, value in self.body().items() if name != "model")
        return f"ImageToVideoRequest({fields})"


_WIRE_ORDER = (
    *("model", "image_url", "tail_image_url", "prompt", "negative_prompt", "duration", "cfg_scale"),
    *("ratio", "aspect_ratio", "static_mask", "dynamic_masks", "camera_control"),
)


def is_reference(value: str) -> bool:
    """Whether a picture is named by its SHA-256 instead of being there: how the ledger keeps requests."""
    return bool(_REFERENCE.match(value))


def check_text(field: str, value: object, *, required: bool = False) -> None:
    """Raise `InvalidRequestError` unless `value` is text (or None, where it may be)."""
    if value is None and not required:
        return
    if not isinstance(value, str):
        raise InvalidRequestError(f"{field} must be text, not {_shown(value)}.", field=field)
    if required and not value.strip():
        raise InvalidRequestError(f"The {field} is empty: write what should happen in the video.", field=field)


def check_duration(value: object) -> None:
    """Raise `InvalidRequestError` unless `value` is 5, 10 or None."""
    whole = isinstance(value, Integral) and not isinstance(value, bool)  # NumPy's integers are Integral
    if value is not None and not (whole and value in DURATIONS):
        raise InvalidRequestError(f"duration must be 5 or 10 seconds, not {_shown(value)}.", field="duration")


def check_cfg_scale(value: object) -> None:
    """Raise `InvalidRequestError` unless `value` is a number from 0 to 1 or None."""
    if value is None:
        return
    if not isinstance(value, Real) or isinstance(value, bool) or not 0.0 <= float(value) <= 1.0:
        raise InvalidRequestError(f"cfg_scale must be a number from 0 to 1, not {_shown(value)}.", field="cfg_scale")


def _check_picture(field: str, value: object, *, required: bool = False) -> None:
    if value is None and not required:
        return
    if isinstance(value, str):
        if value.startswith("data:image/") and ";base64," in value[:64]:
            return
        if value.lower().startswith(("http://", "https://")) and " " not in value and _has_host(value):
            return
        if is_reference(value) or (":" not in value[:16] and _BASE64.match(value)):
            return
    raise InvalidRequestError(
        f"{field} must be an http(s) URL or a Base64-encoded picture, not {_shown(value)}.",
        hint="kling_widget.submit() takes paths, bytes, arrays and more.",
        field=field,
    )


def _has_host(url: str) -> bool:
    try:
        return bool(urlsplit(url).hostname)
    except ValueError:  # e.g. an unclosed IPv6 bracket
        return False


def _dynamic_masks(value: object) -> tuple[DynamicMask, ...]:
    masks: tuple[DynamicMask, ...] = _converted("dynamic_masks", value, tuple[DynamicMask, ...])
    if len(masks) > MAX_DYNAMIC_MASKS:
        raise InvalidRequestError(f"dynamic_masks takes at most {MAX_DYNAMIC_MASKS} masks, not {len(masks)}.")
    fewest, most = TRAJECTORY_POINTS
    for mask in masks:
        _check_picture("dynamic_masks.mask", mask.mask, required=True)
        if not fewest <= len(mask.trajectories) <= most:
            raise InvalidRequestError(
                f"A dynamic mask's trajectory takes {fewest} to {most} points, not {len(mask.trajectories)}."
            )
        if not all(math.isfinite(point.x) and math.isfinite(point.y) for point in mask.trajectories):
            raise InvalidRequestError("A dynamic mask's trajectory has a point that is not a finite number.")
    return masks


def _camera_control(value: object) -> CameraControl:
    control: CameraControl = _converted("camera_control", value, CameraControl)
    for name in CameraConfig.__struct_fields__:
        amount = getattr(control.config, name) if control.config else None
        if amount is not None and not -CAMERA_RANGE <= amount <= CAMERA_RANGE:
            raise InvalidRequestError(f"camera_control.config.{name} must be -10 to 10, not {_shown(amount)}.")
    return control


def _converted(field: str, value: object, kind: Any) -> Any:
    try:
        return msgspec.convert(msgspec.to_builtins(value), kind)
    except (msgspec.ValidationError, TypeError) as error:
        raise InvalidRequestError(f"{field} is not valid: {error}.") from None


def _shown(value: object) -> str:
    """A value for a sentence or a repr, never the megabytes of a picture."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:60]}… ({len(text):,} characters)"


def _callers_level() -> int:
    """The stack level of the first frame outside this package, so that the person's own line is named."""
    level, frame = 2, sys._getframe(2)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        level, frame = level + 1, frame.f_back
    return level
