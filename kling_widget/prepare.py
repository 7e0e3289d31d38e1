"""From what a person gives to a request that passed every check, with its pictures kept in the workspace."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from .errors import ImageError, InvalidRequestError, KlingError
from .images import SourceImage, reference
from .motion import DynamicMask
from .picture_files import pixels
from .picture_sources import FileBytes, ImageValue, WebAddress, read_source
from .request import PICTURE_FIELDS, ImageToVideoRequest
from .rules import shown
from .workspace import Workspace

Picture = SourceImage | FileBytes | WebAddress

SEND_ANYWAY = "To send it all the same: send_anyway=True."
SEND_TURNED = "To send it turned: send_anyway=True."


@dataclass(frozen=True)
class Draft:
    """A request that keeps the rules of its fields. Its pictures are read and recognised; files are not decoded yet."""

    request: ImageToVideoRequest
    pictures: dict[str, Picture]


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
    return keep(workspace, draft(image, prompt, tail_image=tail_image, **fields), send_anyway=send_anyway)


def draft(image: Any, prompt: str, *, tail_image: Any = None, **fields: Any) -> Draft:
    """Read the pictures and say what is asked for: enough to know whether it was asked for before.

    Parameters as of :meth:`Studio.submit`.

    Raises
    ------
    KlingError
        Something breaks a rule, or a picture can't be read.
    """
    _refuse_unknown_fields(fields)
    if image is None:
        raise ImageError("There is no first frame.", hint="Choose a picture to start from.", field="image_url")
    given = {"image_url": image, "tail_image_url": tail_image, "static_mask": fields.pop("static_mask", None)}
    pictures = {name: _read(name, value) for name, value in given.items() if value is not None}
    masks = fields.pop("dynamic_masks", None)
    if masks is not None:
        if isinstance(masks, str | Mapping) or not isinstance(masks, Iterable):
            raise _no_masks(masks)
        fields["dynamic_masks"] = [_mask(number, mask, pictures) for number, mask in enumerate(masks)]
    named = {name: reference(picture) for name, picture in pictures.items() if name in PICTURE_FIELDS}
    return Draft(ImageToVideoRequest(**{**fields, **named, "prompt": prompt}), pictures)


def keep(workspace: Workspace, draft: Draft, *, send_anyway: bool = False) -> Prepared:
    """Decode the pictures of a draft, encode them as they are sent, and keep them.

    Raises
    ------
    KlingError
        A picture can't be used, the model will probably not take it, or the workspace can't be written to.
    """
    pictures = {name: _load(name, picture) for name, picture in draft.pictures.items()}
    if not send_anyway:
        _raise_advice(draft.request, pictures)
    try:
        for picture in pictures.values():
            if picture.data is not None:
                workspace.keep_image(picture.sha256, picture.suffix, picture.data)
    except OSError as error:
        raise KlingError(
            f"The workspace {workspace.path} cannot be written to: {error.strerror or error}.",
            hint="Nothing was submitted. Choose another folder with workspace=… or KLING_WIDGET_WORKSPACE.",
        ) from error
    return Prepared(draft.request, pictures)


def _mask(number: int, mask: Any, pictures: dict[str, Picture]) -> dict[str, Any]:
    if not isinstance(mask, Mapping | DynamicMask):
        raise _no_masks(mask)
    fields = dict(mask) if isinstance(mask, Mapping) else {"mask": mask.mask, "trajectories": mask.trajectories}
    picture = pictures[f"dynamic_masks.{number}"] = _read("dynamic_masks", fields.get("mask"))
    return {**fields, "mask": reference(picture)}


def _no_masks(value: Any) -> InvalidRequestError:
    return InvalidRequestError(
        f"dynamic_masks is a list of masks, each with its mask and trajectories, not {shown(value)}.",
        field="dynamic_masks",
    )


def facts_of(picture: SourceImage) -> dict[str, Any]:
    """What the ledger keeps of a picture: everything but its bytes."""
    facts = ("name", "sha256", "url", "width", "height", "size", "media_type")
    return {name: getattr(picture, name) for name in facts}


def _raise_advice(request: ImageToVideoRequest, pictures: dict[str, SourceImage]) -> None:
    for field, label in (("image_url", "first frame"), ("tail_image_url", "last frame")):
        picture = pictures.get(field)
        if picture is not None and picture.may_lie:
            raise ImageError(
                f"The {label} may lie on its side: its tag says that it is to be turned, but it was changed since.",
                hint=f"ImageOps.exif_transpose(image) right after Image.open() settles that. {SEND_TURNED}",
                field=field, advice=True,
            )  # fmt: skip
        if picture is not None and picture.warnings:
            said = "; ".join(picture.warnings)
            raise ImageError(f"The {label} may be refused: {said}.", hint=SEND_ANYWAY, field=field, advice=True)
    for field, said in (request.preflight() | _mask_advice(pictures) | _path_advice(request, pictures)).items():
        raise InvalidRequestError(said, hint=SEND_ANYWAY, field=field, advice=True)


def _mask_advice(pictures: dict[str, SourceImage]) -> dict[str, str]:
    """What may be no mask to the model, or not the one that was painted: a sentence by field.

    Of sizes Kling's own API documentation says so, the AI/ML API's does not.
    """
    for name, picture in pictures.items():
        if "mask" in name and picture.flattened:
            told = "Its transparent parts are sent white, and white on them cannot be told apart: use opaque colours"
            return {name.partition(".")[0]: f"The model may not see what is painted on the mask. {told}."}
    sizes = {name: (each.width, each.height) for name, each in pictures.items() if each.width and each.height}
    first = sizes.get("image_url")
    masks = {name: size for name, size in sizes.items() if "mask" in name}
    for name, size in masks.items():
        # A pixel more or less is rounding.
        if first and abs(size[0] * first[1] - size[1] * first[0]) > max(*first, *size):
            told = f"a mask of {pixels(*size)} for a picture of {pixels(*first)}"
            return {name.partition(".")[0]: f"The model may refuse {told}: Kling wants one aspect ratio."}
    if len(different := sorted(set(masks.values()))) > 1:
        told = " and ".join(pixels(*size) for size in different)
        return {next(iter(masks)).partition(".")[0]: f"The model may refuse masks of {told}: Kling wants one size."}
    return {}


def _path_advice(request: ImageToVideoRequest, pictures: dict[str, SourceImage]) -> dict[str, str]:
    """Where a trajectory's points are not what the model takes them for, pixels of the picture that is sent."""
    first = pictures["image_url"]
    if not request.dynamic_masks or first.width is None or first.height is None:
        return {}
    if first.scaled_from:
        told = f"the first frame is sent with {pixels(first.width, first.height)}, not {pixels(*first.scaled_from)}"
        return {"dynamic_masks": f"The model may take a trajectory for another: {told}. Scale the points with it."}
    for point in (point for mask in request.dynamic_masks for point in mask.trajectories):
        if not (0 <= point.x <= first.width and 0 <= point.y <= first.height):
            told = f"({point.x:g}, {point.y:g}): the picture has {pixels(first.width, first.height)}"
            return {"dynamic_masks": f"The model may refuse a trajectory through {told}."}
    return {}


def _read(field: str, source: Any) -> Picture:
    with _about(field):
        found = source if isinstance(source, SourceImage) else read_source(source)
        # Not a Pillow image's pixels either: it may be a huge file, opened and not decoded, which only load() refuses.
        return SourceImage.load(found) if isinstance(found, ImageValue) else found


def _load(name: str, picture: Picture) -> SourceImage:
    with _about(name.partition(".")[0]):
        return SourceImage.load(picture)


@contextmanager
def _about(field: str) -> Iterator[None]:
    """An error of a picture says which field it is about."""
    try:
        yield
    except ImageError as error:
        error.field = field
        raise


def _refuse_unknown_fields(fields: dict[str, Any]) -> None:
    known = set(ImageToVideoRequest.__struct_fields__) - {"image_url", "tail_image_url", "prompt", "model"}
    unknown = sorted(set(fields) - known)
    if unknown:
        raise TypeError(f"unknown argument {unknown[0]!r}; the request has {', '.join(sorted(known))}")
