"""``ImageToVideoRequest``: the body of one submission, with its rules.

Field names, types and rules are those of the vendor's specification
(``POST /v2/generate/video/kling/generation``). Only fields that were set are sent.
"""

from __future__ import annotations

import hashlib
import os
import sys
import uuid
import warnings
from typing import Any

import msgspec

from . import motion
from .body import Body
from .errors import InvalidRequestError
from .rules import check_cfg_scale, check_duration, check_picture, check_text, shown

MODEL = "kling-video/v1.6/pro/image-to-video"  # the specification's only value
RATIOS = ("16:9", "9:16", "1:1")  # the specification's enum of the two deprecated fields
PROMPT_ADVICE = 2500  # characters; other public Kling clients refuse more, this vendor documents no limit
CFG_DIGITS = 6  # decimals of a scale; ours: what numbers of 32 bits agree in, and more than anybody means

PICTURE_FIELDS = ("image_url", "tail_image_url", "static_mask")

_PACKAGE = os.path.dirname(__file__)


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
        At most six areas that move, as :class:`~kling_widget.DynamicMask` or mappings of the same keys.
    camera_control
        A :class:`~kling_widget.CameraControl` or a mapping of the same keys.
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
    dynamic_masks: tuple[motion.DynamicMask, ...] | None = None
    camera_control: motion.CameraControl | None = None

    def __post_init__(self) -> None:
        if self.model != MODEL:
            raise InvalidRequestError(f"model must be {MODEL!r}, not {shown(self.model)}.", field="model")
        check_text("prompt", self.prompt, required=True)
        check_text("negative_prompt", self.negative_prompt)
        check_duration(self.duration)
        check_cfg_scale(self.cfg_scale)
        check_picture("image_url", self.image_url, required=True)
        check_picture("tail_image_url", self.tail_image_url)
        check_picture("static_mask", self.static_mask)
        self._check_deprecated()
        force = msgspec.structs.force_setattr
        if self.duration is not None:
            force(self, "duration", int(self.duration))  # a NumPy integer out of a DataFrame
        if self.cfg_scale is not None:
            # One number, one request, also out of a table, np.linspace or a 32-bit column; not -0.0 either.
            force(self, "cfg_scale", round(float(self.cfg_scale), CFG_DIGITS) + 0.0)
        if self.dynamic_masks is not None:
            force(self, "dynamic_masks", motion.dynamic_masks(self.dynamic_masks))
        if self.camera_control is not None:
            force(self, "camera_control", motion.camera_control(self.camera_control))

    def _check_deprecated(self) -> None:
        for field in ("ratio", "aspect_ratio"):
            value = getattr(self, field)
            if value is None:
                continue
            if value not in RATIOS:
                choices = ", ".join(RATIOS)
                raise InvalidRequestError(f"{field} must be one of {choices}, not {shown(value)}.", field=field)
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
            A picture is only a reference, as `Body` resolves them: sending it would ask for something else.
        """
        return b"".join(Body(self.body()).pieces())

    def content_hash(self) -> str:
        """SHA-256 (hex) of what is asked for: equal for equal requests. Meant for requests with references."""
        return hashlib.sha256(msgspec.json.encode(self.body(), order="deterministic")).hexdigest()

    def preflight(self) -> dict[str, str]:
        """What the model will probably not take: a sentence by field. Advice: the vendor documents no such limit."""
        texts = {"prompt": self.prompt, "negative_prompt": self.negative_prompt or ""}
        most = f"the model takes at most {PROMPT_ADVICE:,}"
        long = {
            field: f"The {field.replace('_', ' ')} has {len(text):,} characters; {most}."
            for field, text in texts.items()
            if len(text) > PROMPT_ADVICE
        }
        return long | motion.advice(self)

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={shown(value)}" for name, value in self.body().items() if name != "model")
        return f"ImageToVideoRequest({fields})"


_WIRE_ORDER = (
    *("model", "image_url", "tail_image_url", "prompt", "negative_prompt", "duration", "cfg_scale"),
    *("ratio", "aspect_ratio", "static_mask", "dynamic_masks", "camera_control"),
)


def _callers_level() -> int:
    """The stack level of the first frame outside this package, so that the person's own line is named."""
    level, frame = 2, sys._getframe(2)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        level, frame = level + 1, frame.f_back
    return level


def new_client_request_id() -> str:
    """A fresh id for one submission."""
    return f"kw-{uuid.uuid4().hex}"
