"""`Video`: a finished, saved clip, and how it shows itself in every host."""

from __future__ import annotations

import contextlib
import filecmp
import os
import shutil
import tempfile
from collections.abc import Mapping
from copy import copy
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import media, notebook_files, posters, video_page
from .errors import DownloadError, ImageError
from .notebook_files import notebook_relative as notebook_relative
from .notebook_files import runs_now

if TYPE_CHECKING:
    from PIL import Image

    from .stored_video import StoredVideo

Bytes = bytes  # within the class, `bytes` is its method


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
    stored
        The same video in the store of a workspace at an address; then `path` need not be there yet.

    Attributes
    ----------
    place
        Where the file is on this machine, or goes when it is fetched; `path` is the same and fetches it.
    shown_in_cell
        Number of the cell whose output shows the clip already (`generate` puts it there): as that cell's last line it
        is not shown a second time.
    embed_limit
        Bytes up to which a clip is embedded in pages that cannot load files; free to set, for one clip or on the class
        for all.
    embedded
        Whether the clip is embedded in every page; what :meth:`embed` gives.
    """

    embed_limit: int = 8_000_000  # ours: a handful of clips keeps a notebook below what GitHub and Colab open

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        url: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        stored: StoredVideo | None = None,
    ) -> None:
        self.place = Path(os.path.abspath(path))  # stays true after os.chdir
        self._stored = stored
        self.url = url
        self.metadata: dict[str, Any] = dict(metadata or {})
        self.shown_in_cell: int | None = None
        self._data_uris: tuple[str, str] | None = None
        self.embedded = False

    @property
    def path(self) -> Path:
        """The MP4 file on this machine. In a workspace at an address it is fetched when this is first asked for.

        Raises
        ------
        DownloadError
            It cannot be fetched.
        """
        return self.place if self._stored is None else self._stored.here()

    @property
    def address(self) -> str:
        """Where it is kept: its path, or ``s3://…`` in a workspace at an address. Asking for it fetches nothing."""
        return str(self.place) if self._stored is None else self._stored.address

    @property
    def _elsewhere(self) -> StoredVideo | None:
        """The store, where the file is not on this machine now."""
        return None if self._stored is None or self.place.exists() else self._stored

    def bytes(self) -> Bytes:
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
        if (elsewhere := self._elsewhere) is not None:
            return elsewhere.size()
        try:
            return self.place.stat().st_size
        except OSError as error:
            raise self._lost(error) from error

    @cached_property
    def info(self) -> media.MediaInfo:
        """What the file's header says. Raises `DownloadError` if it cannot be read."""
        elsewhere = self._elsewhere
        return (elsewhere.info() if elsewhere is not None else None) or media.probe(self.path)

    def known(self) -> media.MediaInfo | None:
        """The same as `info` if that is to be had without asking a store, else None."""
        if self._elsewhere is None:
            with contextlib.suppress(DownloadError):
                return self.info
        return None

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
    def poster(self) -> Bytes:
        """The first frame as a JPEG (bytes), at most 25 KB and 480 px. Raises `DownloadError` as `first_frame` does."""
        elsewhere = self._elsewhere
        return (elsewhere.poster() if elsewhere is not None else None) or self._first_look(posters.POSTER)[0]

    @property
    def data_uris(self) -> tuple[str, str] | None:
        """Poster and fallback picture for a page; None if there is no frame to be had now."""
        if self._data_uris is None:
            self._data_uris = video_page.data_uris(self)
        return self._data_uris

    def small_pictures(self, *wanted: posters.Small) -> list[Bytes]:
        """The first frame as small pictures, or where only a store has the file its poster.

        Raises `DownloadError` as `first_frame` does.
        """
        elsewhere = self._elsewhere
        if elsewhere is not None and (poster := elsewhere.poster()) is not None:
            from .images import SourceImage

            with contextlib.suppress(ImageError):  # anybody may have put it there
                return SourceImage.load(poster).small_pictures(*wanted)
        return self._first_look(*wanted)

    def _first_look(self, *wanted: posters.Small) -> list[Bytes]:
        self.__dict__["info"], pictures = posters.first_look(self.path, wanted)  # `info` need not open it again
        return pictures

    @property
    def first_frame(self) -> Image.Image:
        """The first frame, decoded. Raises `DownloadError` if the file cannot be read."""
        with media.opened_at_first_frame(self.path) as (info, frame):
            self.__dict__["info"] = info  # need not open it again
            return media.picture(frame)

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
            target /= self.place.name
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

    def embed(self, limit: int | None = None) -> Video:
        """The same clip, which shows itself as a part of the page and needs no file beside the notebook.

        ``video.embed()`` as the last line of a cell puts the whole clip into the notebook, which grows by 4/3 of its
        size each time it is shown (12 MB become 16 MB); elsewhere the notebook keeps some 25 KB a clip. Its
        :meth:`html` is a piece for pages of your own. To pass on a whole notebook, see `export_html`.

        Parameters
        ----------
        limit
            Bytes up to which it is embedded; by default `embed_limit`. A larger clip shows its poster and a sentence.
        """
        video = copy(self)
        video.embedded, video.shown_in_cell = True, None
        if limit is not None:
            video.embed_limit = limit
        return video

    @property
    def caption(self) -> str:
        """Prompt and settings in one line: ``slow dolly in · 5 s · CFG 0.5 · take 2 · 1920 × 1080 · $0.66``."""
        return " · ".join(part for part in (video_page.prompt(self), video_page.settings(self)) if part)

    def html(self, host: str | None = None) -> str:
        """The clip as a piece of a page.

        Parameters
        ----------
        host
            ``jupyter``: load the file relative to the notebook, where that works. Any other (``colab``, ``vscode``,
            ``page``): embed it. Default: the host this runs in.
        """
        return video_page.figure(self, host or notebook_files.host())

    def _lost(self, error: OSError) -> DownloadError:
        number = self.metadata.get("generation_id")
        return DownloadError(
            f"The video {self.place.name} is not there any more: {(error.strerror or 'unreadable').lower()}.",
            hint="kling_widget.resume(generation_id) fetches it again, free of charge, as long as the vendor keeps it.",
            generation_id=number if isinstance(number, str) else None,
        )

    def _repr_html_(self) -> str | None:
        # Not `_repr_mimebundle_`: IPython asks for the HTML all the same where a bundle has none.
        return None if runs_now(self.shown_in_cell) else self.html()

    def __repr__(self) -> str:
        return f"Video({video_page.shown_address(self)!r})" + (".embed()" if self.embedded else "")

    def __fspath__(self) -> str:
        return os.fspath(self.path)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Video) and self.place == other.place

    def __hash__(self) -> int:
        return hash(self.place)
