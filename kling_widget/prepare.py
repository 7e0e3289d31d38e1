"""From what a person gives to a request that passed every check, with its pictures kept in the workspace."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .errors import ImageError, InvalidRequestError, KlingError
from .images import SourceImage
from .request import PICTURE_FIELDS, ImageToVideoRequest
from .workspace import Workspace

SEND_ANYWAY = "To send it all the same: send_anyway=True."


@dataclass(frozen=True)
class Prepared:
    """A request that passed every check, with its pictures kept in the workspace: ready to be submitted."""

    request: ImageToVideoRequest
    pictures: dict[str, SourceImage]


def prepare(
    workspace: Workspace, image: Any, prompt: str, *, tail_image: Any = None, send_anyway: bool = False, **fields: Any
) -> Prepared:
    """Check everything and keep the pictures; nothing is sent. Blocks while pictures are read.

    Parameters as of :meth:`Studio.submit`.

    Raises
    ------
    KlingError
        Something breaks a rule, or the workspace can't be written to.
    """
    _refuse_unknown_fields(fields)
    if image is None:
        raise ImageError("There is no first frame.", hint="Choose a picture to start from.", field="image_url")
    given = {"image_url": image, "tail_image_url": tail_image, "static_mask": fields.pop("static_mask", None)}
    pictures = {name: _load(name, value) for name, value in given.items() if value is not None}
    masks = fields.pop("dynamic_masks", None)
    if masks is not None:
        fields["dynamic_masks"] = [_mask(number, mask, pictures) for number, mask in enumerate(masks)]
    named = {name: _reference(picture) for name, picture in pictures.items() if name in PICTURE_FIELDS}
    request = ImageToVideoRequest(**{**fields, **named, "prompt": prompt})
    if not send_anyway:
        _raise_advice(request, pictures)
    try:
        for picture in pictures.values():
            if picture.data is not None:
                workspace.keep_image(picture.sha256, picture.suffix, picture.data)
    except OSError as error:
        raise KlingError(
            f"The workspace {workspace.path} cannot be written to: {error.strerror or error}.",
            hint="Nothing was submitted. Choose another folder with workspace=… or KLING_WIDGET_WORKSPACE.",
        ) from error
    return Prepared(request, pictures)


def _mask(number: int, mask: Any, pictures: dict[str, SourceImage]) -> dict[str, Any]:
    fields = dict(mask) if isinstance(mask, Mapping) else {"mask": mask.mask, "trajectories": mask.trajectories}
    picture = _load("dynamic_masks", fields.get("mask"))
    pictures[f"dynamic_masks.{number}"] = picture
    return {**fields, "mask": _reference(picture)}


def _reference(picture: SourceImage) -> str:
    return picture.url or f"sha256:{picture.sha256}"


def facts_of(picture: SourceImage) -> dict[str, Any]:
    """What the ledger keeps of a picture: everything but its bytes."""
    facts = ("name", "sha256", "url", "width", "height", "size", "media_type")
    return {name: getattr(picture, name) for name in facts}


def _raise_advice(request: ImageToVideoRequest, pictures: dict[str, SourceImage]) -> None:
    for field, label in (("image_url", "first frame"), ("tail_image_url", "last frame")):
        if field in pictures and pictures[field].warnings:
            said = "; ".join(pictures[field].warnings)
            raise ImageError(f"The {label} may be refused: {said}.", hint=SEND_ANYWAY, field=field, advice=True)
    for field, said in request.preflight().items():
        raise InvalidRequestError(said, hint=SEND_ANYWAY, field=field, advice=True)


def _load(field: str, source: Any) -> SourceImage:
    try:
        return SourceImage.load(source)
    except ImageError as error:
        error.field = field
        raise


def _refuse_unknown_fields(fields: dict[str, Any]) -> None:
    known = set(ImageToVideoRequest.__struct_fields__) - {"image_url", "tail_image_url", "prompt", "model"}
    unknown = sorted(set(fields) - known)
    if unknown:
        raise TypeError(f"unknown argument {unknown[0]!r}; the request has {', '.join(sorted(known))}")
