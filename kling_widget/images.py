"""Anything a person calls an image → `SourceImage` → the ``image_url`` of a request."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from . import picture_codec
from .errors import ImageError
from .picture_files import broken, open_picture, pixels
from .picture_pixels import orientation, to_srgb
from .picture_sources import FileBytes, Found, WebAddress, read_source

if TYPE_CHECKING:
    from PIL import Image

    from .posters import Small

MIN_SIDE = 300  # pixels; aimlapi.md §2: limits that other public Kling clients enforce
MAX_RATIO = 2.5  # long side to short side; aimlapi.md §2, as above


@dataclass(frozen=True, slots=True)
class SourceImage:
    """A picture as it will be sent, and what was done to it on the way.

    Make one with `SourceImage.load`.

    Attributes
    ----------
    name
        Short name for people: ``cat.png``, ``picture``, ``cat.png at example.org``.
    sha256
        Identity of the source *as given* (hex): of a file's bytes; of mode, size and pixels of an array or Pillow
        image; of a URL's text. Never of a re-encoding: a Pillow upgrade must not make the same picture another
        request, to be paid again. A background that shows, and is not white, is part of it.
    url
        A web address, passed through unfetched; then `data`, `media_type`, `width` and `height` are None.
    data
        The bytes to be sent, JPEG or PNG, at most 10 MB.
    media_type
        ``image/jpeg`` or ``image/png``.
    width, height
        Pixels of what is sent.
    scaled_from
        Width and height before it was made smaller to fit into 10 MB; None where it was not.
    flattened
        Whether it had transparent parts, where the background shows now.
    may_lie
        Whether it was turned as its orientation tag says, though it may have been upright already.
    source_size
        Bytes as given; None for arrays, figures, Pillow images and URLs.
    changes
        Sentences on what was changed; empty when the bytes are sent as they are.
    warnings
        Sentences on what the model may refuse.
    """

    name: str
    sha256: str
    url: str | None = None
    data: bytes | None = field(default=None, repr=False, compare=False)
    media_type: str | None = None
    width: int | None = None
    height: int | None = None
    scaled_from: tuple[int, int] | None = None
    flattened: bool = False
    may_lie: bool = False
    source_size: int | None = None
    changes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @classmethod
    def load(cls, source: object, *, name: str | None = None, background: str = "white") -> SourceImage:
        """Read any picture.

        Parameters
        ----------
        source
            Path, URL (``http``, ``https``), ``data:`` URI or bare Base64; address of a store that fsspec knows
            (``s3://bucket/cat.jpg``), which is read here; bytes; binary file object; Pillow image; NumPy array
            (H×W, H×W×3 or H×W×4; uint8, or float 0..1); torch tensor (also 3×H×W); matplotlib figure;
            IPython ``Image``; `Video` (its last frame); `SourceImage`.
        name
            Name for people, instead of the file's.
        background
            Colour behind transparent parts, as CSS writes it.

        Raises
        ------
        ImageError
            It cannot be read, is not a picture, is damaged, or is too large to decode safely.
        """
        if isinstance(source, SourceImage):
            return replace(source, name=_short(name)) if name else source
        _check_colour(background)
        found = read_source(source)
        title = _short(name or found.name)
        if isinstance(found, WebAddress):
            return cls(title, _identity(found), url=found.url)
        if isinstance(found, FileBytes):
            size: int | None = len(found.data)
            encoded = picture_codec.encode_file(found.data, title, background)
        else:
            encoded, size = picture_codec.encode_image(found.image, title, background), None
        digest = _identity(found)
        if encoded.flattened and background != "white":
            digest = hashlib.sha256(f"{digest} on {background}".encode()).hexdigest()
        return cls(
            name=title,
            sha256=digest,
            data=encoded.data,
            media_type=encoded.media_type,
            width=encoded.width,
            height=encoded.height,
            scaled_from=encoded.scaled_from,
            flattened=encoded.flattened,
            may_lie=encoded.may_lie,
            source_size=size,
            changes=encoded.changes,
            warnings=preflight(encoded.width, encoded.height),
        )

    @property
    def size(self) -> int | None:
        """Bytes to be sent; None for a URL."""
        return None if self.data is None else len(self.data)

    @property
    def suffix(self) -> str:
        """``.jpg`` or ``.png``; empty for a URL."""
        return {"image/jpeg": ".jpg", "image/png": ".png"}.get(self.media_type or "", "")

    @property
    def image_url(self) -> str:
        """What goes into the request: the URL, or the bytes as a ``data:`` URI (made anew each time)."""
        if self.data is None:
            return self.url or ""
        return f"data:{self.media_type};base64,{base64.b64encode(self.data).decode('ascii')}"

    def pil(self) -> Image.Image:
        """The picture as sent, decoded.

        Raises
        ------
        ImageError
            It is a URL: nothing was fetched. Or its pixels are damaged.
        """
        return self._decoded()

    def thumbnail(self, edge: int = 320) -> bytes:
        """A small JPEG, at most 25 KB.

        Parameters
        ----------
        edge
            Pixels of its longer side, at most.

        Raises
        ------
        ImageError
            As of `pil`.
        """
        return picture_codec.small_picture(self._shown(edge), edge, picture_codec.MAX_THUMBNAIL, "JPEG")

    def small_pictures(self, *wanted: Small) -> list[bytes]:
        """The same as small pictures of several kinds; raises as `thumbnail` does."""
        shown = self._shown(max(each.edge for each in wanted))
        return [picture_codec.small_picture(shown, each.edge, each.limit, each.kind) for each in wanted]

    def _shown(self, edge: int) -> Image.Image:
        return to_srgb(self._decoded(edge), [])

    def _decoded(self, edge: int | None = None) -> Image.Image:
        """All of it, or no longer than `edge` pixels, for less work."""
        if self.data is None:
            raise ImageError(
                f"{self.name} is a web address and was not fetched, so there are no pixels to show.",
                hint="Download the picture and give the file to see it here.",
            )
        try:
            image = open_picture(self.data, "PNG" if self.media_type == "image/png" else "JPEG", self.name)
            if edge is not None:
                image.draft("RGB", (edge, edge))  # lets JPEG decode at an eighth of the size
                image.thumbnail((edge, edge))
            image.load()
            return image
        except broken() as error:
            raise ImageError(f"{self.name} cannot be read.", hint="Choose another picture.") from error


def reference(picture: SourceImage | FileBytes | WebAddress) -> str:
    """How a request that is kept names a picture: its URL, or ``sha256:<hex>``. Nothing is decoded for that."""
    digest = picture.sha256 if isinstance(picture, SourceImage) else _identity(picture)
    return getattr(picture, "url", None) or f"sha256:{digest}"


def _identity(found: Found) -> str:
    """SHA-256 (hex) of a source as given."""
    if isinstance(found, WebAddress):
        return hashlib.sha256(found.url.encode()).hexdigest()
    if isinstance(found, FileBytes):
        return hashlib.sha256(found.data).hexdigest()
    return found.identity or _pixel_hash(found.image)


def preflight(width: int, height: int) -> tuple[str, ...]:
    """What the model may refuse about a picture of this size (pixels), in sentences."""
    warnings = []
    if min(width, height) < MIN_SIDE:
        warnings.append(f"{pixels(width, height)} is below the {MIN_SIDE} px the model needs on each side")
    if max(width, height) > MAX_RATIO * min(width, height):
        what = "wider than 2.5:1" if width > height else "taller than 1:2.5"
        warnings.append(f"{pixels(width, height)} is {what}, the limit of what the model takes")
    return tuple(warnings)


def _pixel_hash(image: Image.Image) -> str:
    """Over mode, size and pixels, and over what else decides how they look, where there is any."""
    digest = hashlib.sha256(f"{image.mode} {image.width}x{image.height}\n".encode())
    digest.update(image.tobytes())
    extras: dict[str, Any] = {
        "palette": image.getpalette("RGB") if image.mode in ("P", "PA") else None,
        "transparency": image.info.get("transparency"),
        "profile": image.info.get("icc_profile"),
        "orientation": orientation(image),
    }
    for key, value in extras.items():
        if value is not None and value != 1:
            digest.update(f"\n{key} {value!r}".encode())
    return digest.hexdigest()


def _check_colour(background: str) -> None:
    if background == "white":
        return  # a URL shall not cost the import of Pillow
    from PIL import ImageColor

    try:
        ImageColor.getrgb(background)
    except (ValueError, AttributeError, TypeError) as error:
        raise ImageError(f"{background!r} is not a colour.", hint='Use a name ("white") or "#rrggbb".') from error


def _short(name: str) -> str:
    """One printable line without folders, at most 80 characters."""
    last = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    clean = "".join(character for character in last if character.isprintable()).strip()
    return (clean if len(clean) <= 80 else f"{clean[:50]}…{clean[-29:]}") or "picture"
