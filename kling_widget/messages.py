"""What the front end's messages do (table in ``docs/architecture.md``). Handlers run on the background loop."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from . import background
from .credentials import ApiKey
from .entries import FORM_FIELDS, source_of
from .errors import DownloadError, ImageError, KlingError, StoreError
from .presses import SAME_PRESS, Presses
from .studios import studio_for
from .uploads import Uploads

if TYPE_CHECKING:
    from .generation import Generation
    from .images import SourceImage
    from .rules import Take
    from .studio import Studio
    from .video import Video

MESSAGES_IN = frozenset(
    {"generate", "upload", "url", "remove", "key", "preview", "video", "stop", "watch", "check", "resubmit", "use"}
    | {"continue", "balance", "source"}
)
MESSAGES_OUT = frozenset({"ack", "received", "uploaded", "preview", "video", "source"})
SLOTS = ("first_frame", "last_frame")
SLOT_FIELDS = {form_field: field for field, form_field in FORM_FIELDS.items() if form_field in SLOTS}
IN_PYTHON_ONLY = ("static_mask", "dynamic_masks", "aspect_ratio", "ratio")  # fields that the form does not have
FORM = ("prompt", "negative_prompt", "duration", "cfg_scale", "camera_control")  # without the pictures
LOOK_AT_IT = "Look at it, and press Generate again."
CHUNK = 512 * 1024  # bytes of video in one message

Message = dict[str, Any]


class MessageHandlers:
    """One method a message type: ``_on_<type>(message, buffers)``."""

    # What they need of the widget.
    prompt: str
    negative_prompt: str
    duration: int
    cfg_scale: float
    camera_control: dict[str, Any] | None
    problems: list[dict[str, Any]]
    generations: tuple[Generation, ...]
    send: Callable[..., None]
    _studio: Studio
    _budget: float | None
    _settings: dict[str, Any]
    _uploads: Uploads
    _pictures: dict[str, SourceImage | None]
    first_frame: dict[str, Any] | None
    last_frame: dict[str, Any] | None
    _presses: Presses
    _resubmissions: Presses
    _used: float
    _filling: int
    _submit: Callable[[Message, dict[str, SourceImage | None], bool, Take], Generation]
    _follow: Callable[..., None]
    _show_problem: Callable[[KlingError], None]
    _drop_problem: Callable[[str], None]
    _fill: Callable[[str, SourceImage | None], None]
    _load: Callable[[str, Any, str | None], Any]
    _use_studio: Callable[[Studio], None]
    _take_up: Callable[[], Any]
    _refresh_estimate: Callable[[], Any]

    async def _on_generate(self, message: Message, _buffers: list[memoryview]) -> None:
        form = given if isinstance(given := message.get("form"), dict) else {}
        anyway = message.get("anyway") is True
        press = (form, anyway, *(frame and frame["key"] for frame in (self.first_frame, self.last_frame)))
        names = {name for name in (message.get("id"), message.get("again")) if isinstance(name, str)}
        if not self._presses.is_new(press, names, time.monotonic()):
            return
        self.problems = []
        try:
            self._check_seen(form)
            pictures = dict(self._pictures)  # now: the next message may take one away before the thread has begun
            generation = await background.in_thread(self._submit, form, pictures, anyway, "new")
        except KlingError as error:
            self._presses.forget(press)
            self._show_problem(error)
        else:
            self._follow(generation)

    def _check_seen(self, form: Message) -> None:
        """Raise where a person pressed Generate before the page could show what would be made.

        The press carries the texts as they were shown; the pictures are those that are here by now.
        """
        shown = [form.get(name) for name in FORM]
        if time.monotonic() - self._used < SAME_PRESS and shown != [getattr(self, name) for name in FORM]:
            raise KlingError("The form was filled with other settings just then.", hint=LOOK_AT_IT)
        if self._filling:
            raise KlingError("A picture was still being put into the form.", hint=LOOK_AT_IT)

    async def _on_upload(self, message: Message, buffers: list[memoryview]) -> None:
        name, slot, offset = str(message.get("upload")), message.get("slot"), message.get("offset")
        if slot not in SLOTS or not isinstance(offset, int) or not buffers:
            return
        file_name = str(message.get("name") or "picture")[:255]
        try:
            upload = self._uploads.get(name, slot, file_name, int(message.get("size") or 0), offset)
        except ValueError as error:
            self._refuse(slot, f"{file_name} cannot be used: {error}.", "Choose another picture.")
            return
        ok = upload is not None and upload.add(offset, buffers[0], message.get("sha256"))
        reply = {"type": "received", "re": message.get("id"), "upload": name, "offset": offset, "ok": ok}
        self.send({**reply, "received": upload.received if upload else 0})
        if upload and upload.complete:
            await self._load(slot, upload.take(), file_name)
            self.send({"type": "uploaded", "upload": name, "slot": slot})

    async def _on_url(self, message: Message, _buffers: list[memoryview]) -> None:
        slot, url = message.get("slot"), str(message.get("url", "")).strip()
        if slot in SLOTS and url.lower().startswith(("http://", "https://", "data:")):
            await self._load(slot, url, None)
        elif slot in SLOTS:  # it would be read here: a path without a scheme, a store with another
            self._refuse(slot, f"{url[:200]} is not a web address.", "It begins with https://.")

    def _refuse(self, slot: str, message: str, hint: str) -> None:
        self._show_problem(ImageError(message, hint=hint, field=SLOT_FIELDS[slot]))

    async def _on_remove(self, message: Message, _buffers: list[memoryview]) -> None:
        if message.get("slot") in SLOTS:
            self._drop_problem(message["slot"])
            self._fill(message["slot"], None)

    async def _on_key(self, _message: Message, buffers: list[memoryview]) -> None:
        try:
            # In a buffer, since what a message says is logged by kernels at DEBUG.
            key = ApiKey(bytes(buffers[0]).decode("utf-8", "replace") if buffers else "")
            studio = await background.in_thread(studio_for, api_key=key, **self._settings)
            await background.in_thread(studio.require_key)  # and a bad base URL is said now
        except KlingError as error:
            self._show_problem(error)
        else:
            self._drop_problem("key")
            self._use_studio(studio)
            await self._take_up()

    async def _on_preview(self, message: Message, _buffers: list[memoryview]) -> None:
        key = str(message.get("key"))
        picture = await background.in_thread(self._preview, key)
        reply = {"type": "preview", "re": message.get("id"), "key": key, "media_type": "image/jpeg"}
        self.send(reply, buffers=[picture] if picture else None)

    async def _on_video(self, message: Message, _buffers: list[memoryview]) -> None:
        generation, offset = self._known(message), message.get("offset")
        if generation is None or generation.video is None or not isinstance(offset, int) or offset < 0:
            return
        reply = {"type": "video", "re": message.get("id"), "key": generation.key, "offset": offset}
        try:
            piece, size = await background.in_thread(_read, generation.video, offset)
        except (DownloadError, OSError):  # the front end says that it can't be played, and where it is
            self.send({**reply, "size": 0})
        else:
            self.send({**reply, "size": size}, buffers=[piece])

    async def _on_stop(self, message: Message, _buffers: list[memoryview]) -> None:
        if generation := self._known(message):
            generation.stop()

    async def _on_watch(self, message: Message, _buffers: list[memoryview]) -> None:
        if generation := self._known(message):
            generation.watch()

    async def _on_check(self, message: Message, _buffers: list[memoryview]) -> None:
        await self._on_watch(message, _buffers)

    async def _on_resubmit(self, message: Message, _buffers: list[memoryview]) -> None:
        generation = self._known(message)
        if generation is None or generation.status != "unknown":
            return
        if not self._resubmissions.is_new(generation.key, (), time.monotonic()):
            return
        try:
            self._follow(await background.in_thread(self._studio.orders.place_again, generation, self._budget))
        except KlingError as error:
            self._resubmissions.forget(generation.key)
            self._show_problem(error)

    async def _on_use(self, message: Message, _buffers: list[memoryview]) -> None:
        if not (generation := self._known(message)):
            return
        self._used = time.monotonic()
        request = generation.row.request
        self.prompt, self.negative_prompt = request.get("prompt", ""), request.get("negative_prompt") or ""
        self.duration, self.cfg_scale = request.get("duration") or 5, request.get("cfg_scale", 0.5)
        self.camera_control = request.get("camera_control")
        self._drop_problem("form")  # what was said of another one
        if left_out := [name for name in IN_PYTHON_ONLY if request.get(name)]:
            told = f"It was made with {' and '.join(left_out)}, which kw.generate() takes and this form does not."
            self._show_problem(KlingError(told))
        with self._being_filled():
            for slot in SLOTS:
                await self._use_picture(generation, slot)

    async def _use_picture(self, generation: Generation, slot: str) -> None:
        from .kept_pictures import kept_picture

        facts = generation.row.pictures.get(SLOT_FIELDS[slot])
        if facts is None:
            self._fill(slot, None)
            return
        try:
            picture = await background.in_thread(kept_picture, self._studio.workspace, facts)
        except (ImageError, StoreError) as error:
            self._refuse(slot, error.message, error.hint)
        else:
            await self._load(slot, picture, None)

    @contextmanager
    def _being_filled(self) -> Iterator[None]:
        """While a slot's next picture is read, what it shows is not what will be in it."""
        self._filling += 1
        try:
            yield
        finally:
            self._filling -= 1

    async def _on_continue(self, message: Message, _buffers: list[memoryview]) -> None:
        if (generation := self._known(message)) and generation.video is not None:
            await self._load("first_frame", generation.video, None)

    async def _on_source(self, message: Message, _buffers: list[memoryview]) -> None:
        if generation := self._known(message):
            text = source_of(generation, self._settings)
            self.send({"type": "source", "re": message.get("id"), "key": generation.key, "text": text})

    async def _on_balance(self, _message: Message, _buffers: list[memoryview]) -> None:
        self._drop_problem("form")  # what was said when it was asked before
        try:
            await background.in_thread(self._studio.renew)
            if await self._studio.account.ask_balance() is None:
                raise KlingError("The vendor did not say what is left.")
        except KlingError as error:
            self._show_problem(error)
        else:
            await self._refresh_estimate()

    def _known(self, message: Message) -> Generation | None:
        return next((each for each in self.generations if each.key == message.get("key")), None)

    def _preview(self, key: str) -> bytes | None:
        """A small JPEG of a Frame, of a video's poster, or of the first frame while it is being made."""
        from .kept_pictures import kept_picture

        try:
            for picture in self._pictures.values():
                if picture is not None and picture.sha256 == key:
                    return picture.thumbnail() if picture.data is not None else None
            generation = self._known({"key": key})
            if generation is None:
                return None
            facts = generation.row.pictures.get("image_url")
            if generation.video is not None:
                return generation.video.poster
            if facts is None or facts["url"]:
                return None
            return kept_picture(self._studio.workspace, facts).thumbnail()
        except (ImageError, DownloadError, StoreError):  # the person has tidied the workspace, or a store is away
            return None


def _read(video: Video, offset: int) -> tuple[bytes, int]:
    """A piece of a video's file, and the size of the whole."""
    with open(video.path, "rb") as file:
        file.seek(offset)
        return file.read(CHUNK), os.fstat(file.fileno()).st_size
