"""`Video`: a finished, saved clip, and how it shows itself in every host."""

from __future__ import annotations

import base64
import filecmp
import os
import shutil
import tempfile
from collections.abc import Collection, Mapping
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from . import media, notebook_files
from .errors import DownloadError
from .notebook_files import notebook_relative as notebook_relative
from .picture_codec import small_picture
from .picture_files import human_size

if TYPE_CHECKING:
    from PIL import Image

    from .images import SourceImage

_SHOWN = (640, 480)  # pixels; ours: a clip takes no more of the page than this, upright ones included
_POSTER_BYTES = 10_000  # ours: with `_FALLBACK_BYTES`, as Base64, some 25 KB in the notebook for each clip
_FALLBACK_BYTES = 7_000
_FALLBACK_EDGE = 320  # pixels
_PROMPT_SHOWN = 400  # characters of a prompt in a caption; the whole of it is in `metadata`
_MUTED = "margin-top:4px;font-size:90%;color:var(--jp-ui-font-color2, #757575)"


class Video:
    """A saved clip.

    As the last line of a cell it shows itself: a player where the page can load the file, else the file embedded in
    the page (up to `embed_limit`), else its poster and where it is saved.

    Parameters
    ----------
    path
        The MP4 file.
    url
        Where the vendor keeps it; it expires after some weeks.
    metadata
        What it was made from: prompt, negative_prompt, duration (seconds), cfg_scale, take, generation_id, provider,
        simulated, …
    first_frame_source
        The picture it began with; shown where the file itself cannot be read.

    Attributes
    ----------
    embed_limit
        Bytes up to which a clip is embedded in pages that cannot load files; a class attribute, free to set.
    """

    embed_limit: ClassVar[int] = 8_000_000  # ours: a handful of clips keeps a notebook below what GitHub and Colab open

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        url: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        first_frame_source: SourceImage | None = None,
    ) -> None:
        self.path = Path(path)
        self.url = url
        self.metadata: dict[str, Any] = dict(metadata or {})
        self.first_frame_source = first_frame_source

    def bytes(self) -> bytes:
        """The MP4 file's bytes.

        Raises
        ------
        DownloadError
            The file is not there any more.
        """
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise self._lost(error) from error

    @property
    def size(self) -> int:
        """Bytes of the file. Raises `DownloadError` if it is not there any more."""
        try:
            return self.path.stat().st_size
        except OSError as error:
            raise self._lost(error) from error

    @cached_property
    def info(self) -> media.MediaInfo:
        """What the file's header says. Raises `DownloadError` if it cannot be read."""
        return media.probe(self.path)

    @property
    def width(self) -> int:
        """Pixels."""
        return self.info.width

    @property
    def height(self) -> int:
        """Pixels."""
        return self.info.height

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.info.duration

    @cached_property
    def poster(self) -> Any:
        """The first frame as a JPEG (bytes), at most 25 KB and 480 px. Raises `DownloadError` as `first_frame` does."""
        return media.poster(self.path)

    @property
    def first_frame(self) -> Image.Image:
        """The first frame, decoded. Raises `DownloadError` if the file cannot be read."""
        return media.frame_at(self.path, "first")

    @property
    def last_frame(self) -> Image.Image:
        """The last frame, decoded: what a next clip may begin with. Raises `DownloadError` as `first_frame` does."""
        return media.frame_at(self.path, "last")

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Copy the file.

        Parameters
        ----------
        path
            A file name, or a folder (one that exists, or ends with a slash) to copy it into under its own name.
        overwrite
            Whether another file of that name may be replaced.

        Returns
        -------
        Where the copy is.

        Raises
        ------
        FileExistsError
            Another file is there, and `overwrite` is False.
        DownloadError
            The file is not there any more.
        """
        text = os.fspath(path)
        target = Path(text).expanduser()
        if target.is_dir() or text.endswith(("/", os.sep)):
            target /= self.path.name
        _ = self.size  # raises if the file is gone
        if target.exists():
            if filecmp.cmp(self.path, target, shallow=False):
                return target
            if not overwrite:
                raise FileExistsError(f"{target} is another file. Give another name, or overwrite=True.")
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        os.close(handle)
        try:
            shutil.copyfile(self.path, partial)
            shutil.copymode(self.path, partial)
            os.replace(partial, target)
        finally:
            Path(partial).unlink(missing_ok=True)
        return target

    @property
    def caption(self) -> str:
        """Prompt and settings in one line: ``slow dolly in · 5 s · CFG 0.5 · take 2 · 1920 × 1080``."""
        return " · ".join(part for part in (self._prompt, self._settings) if part)

    def html(self, host: str | None = None) -> str:
        """The clip as a piece of a page.

        Parameters
        ----------
        host
            ``jupyter``: load the file relative to the notebook, where that works. Any other (``colab``, ``vscode``,
            ``page``): embed it. Default: the host this runs in.
        """
        source, note = self._source(host or notebook_files.host())
        pictures = self._pictures
        alt = escape(self._prompt[:120] or "A frame of the video")
        fallback = f'<img src="{pictures[1]}" alt="{alt}" width="{_FALLBACK_EDGE}">' if pictures else ""
        if source:
            poster = f' poster="{pictures[0]}"' if pictures else ""
            fallback = (
                f'<video controls loop muted playsinline preload="metadata" width="{self._shown_width}"{poster}'
                f' style="max-width:100%;height:auto" aria-label="{alt}" src="{source}">{fallback}</video>'
            )
        lines = [escape(self._prompt), f"<small>{escape(self._settings)}</small>", note]
        caption = "<br>".join(line for line in lines if line and line != "<small></small>")
        return f'<figure style="margin:0">{fallback}<figcaption style="{_MUTED}">{caption}</figcaption></figure>'

    def _source(self, host: str) -> tuple[str, str]:
        """What goes into ``src``, and a line to say where there is nothing to play."""
        where = f"<code>{escape(self._shown_path)}</code>"
        try:
            size = self.size
        except DownloadError:
            return "", f"The file {where} is not there any more."
        relative = notebook_relative(self.path) if host == "jupyter" else None
        if relative is not None:
            return escape(relative), ""
        if size > self.embed_limit:
            return "", f"It is too large to be embedded in this page ({human_size(size)}). It is saved as {where}."
        return f"data:video/mp4;base64,{base64.b64encode(self.bytes()).decode('ascii')}", ""

    @cached_property
    def _pictures(self) -> tuple[str, str] | None:
        """Poster (WebP: sharper in as few bytes) and what readers see that know no video tag (JPEG), as data URIs."""
        try:
            frame = self.first_frame
        except DownloadError:
            if self.first_frame_source is None or self.first_frame_source.data is None:
                return None
            frame = self.first_frame_source.pil()
        poster = small_picture(frame, media.POSTER_EDGE, _POSTER_BYTES, "WEBP")
        fallback = small_picture(frame, _FALLBACK_EDGE, _FALLBACK_BYTES, "JPEG")
        texts = (base64.b64encode(data).decode("ascii") for data in (poster, fallback))
        return f"data:image/webp;base64,{next(texts)}", f"data:image/jpeg;base64,{next(texts)}"

    @property
    def _prompt(self) -> str:
        prompt = " ".join(str(self.metadata.get("prompt") or "").split())
        return prompt if len(prompt) <= _PROMPT_SHOWN else f"{prompt[:_PROMPT_SHOWN].rstrip()}…"

    @property
    def _settings(self) -> str:
        given = self.metadata
        size, seconds = "", given.get("duration")
        try:
            size, seconds = f"{self.width} × {self.height}", seconds or round(self.duration, 1)
        except DownloadError:
            pass  # then what was asked for is all that is known
        parts = [
            f"{seconds:g} s" if isinstance(seconds, (int, float)) else "",
            f"CFG {given['cfg_scale']:g}" if isinstance(given.get("cfg_scale"), (int, float)) else "",
            f"take {given['take']}" if given.get("take") is not None else "",
            size,
            "simulated" if given.get("simulated") else "",
        ]
        return " · ".join(part for part in parts if part)

    @property
    def _shown_width(self) -> int:
        try:
            return max(1, round(min(_SHOWN[0], _SHOWN[1] * self.width / self.height)))
        except (DownloadError, ZeroDivisionError):
            return _SHOWN[0]

    @property
    def _shown_path(self) -> str:
        path = Path(os.path.abspath(self.path))
        return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)

    def _lost(self, error: OSError) -> DownloadError:
        number = self.metadata.get("generation_id")
        return DownloadError(
            f"The video {self.path.name} is not there any more: {(error.strerror or 'unreadable').lower()}.",
            hint="kling_widget.resume(generation_id) fetches it again, free of charge, as long as the vendor keeps it.",
            generation_id=number if isinstance(number, str) else None,
        )

    def _repr_mimebundle_(
        self, include: Collection[str] | None = None, exclude: Collection[str] | None = None
    ) -> dict[str, str]:
        return {"text/html": self.html(), "text/plain": repr(self)}

    def _repr_html_(self) -> str:
        return self.html()

    def __repr__(self) -> str:
        return f"Video({self._shown_path!r})"

    def __fspath__(self) -> str:
        return os.fspath(self.path)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Video) and os.path.abspath(self.path) == os.path.abspath(other.path)

    def __hash__(self) -> int:
        return hash(os.path.abspath(self.path))
