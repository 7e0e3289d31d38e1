"""``KlingWidget``: traits and messages, no logic of its own (the table is in ``docs/architecture.md``).

Front-end messages may arrive on the main thread or on a subshell's: handlers acknowledge, hand over to the background
loop and return. All state but the form's fields is written on that one loop.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from . import background
from .credentials import ApiKey, hidden, look_for_key
from .databases import Database, hidden_database
from .entries import frame_of, problem_of
from .errors import ImageError, KlingError
from .listing import Listing
from .messages import FORM, MESSAGES_IN, SLOT_FIELDS, SLOTS, Message, MessageHandlers
from .notebook_files import kernel_shell
from .presses import Presses
from .rules import Take, amount, check_cfg_scale, check_duration, checked_budget, whole
from .studio import Studio
from .studios import studio_for
from .uploads import Uploads
from .widget_display import Display

if TYPE_CHECKING:
    from .generation import Generation
    from .images import SourceImage
    from .motion import CameraControl

STATIC = Path(__file__).parent / "static"
READ_ONLY = "A KlingWidget, the panel that makes videos. Open this notebook in Jupyter and run this cell to use it."
GLANCE = 0.2  # seconds from the first line of a widget in a notebook until it works on, should nobody display it
PAINTING = 0.1  # seconds that the page gets for itself then: threads of one kernel take turns


class KlingWidget(MessageHandlers, Listing, Display, anywidget.AnyWidget):
    """Turn an image into a video by mouse and keyboard.

    Without a key it opens on the built-in simulator, free of charge, with a banner that says so.
    Showing it submits nothing. Closing it ends only the display: generations go on.

    Parameters
    ----------
    image
        First frame, in any form :class:`SourceImage` takes.
    prompt, negative_prompt, duration, cfg_scale, camera_control
        What the form starts with; `duration` is 5 or 10 seconds, `cfg_scale` 0 to 1, `camera_control` such as
        ``{"type": "simple", "config": {"zoom": 5}}`` or ``{"type": "down_back"}``.
    tail_image
        Last frame.
    api_key, base_url, workspace, database, simulate
        Settings; see :class:`Studio`. `simulate` None means: only where there is no key.
    budget
        USD that everything made from this workspace may cost together; see :class:`Studio`.
    side_panel
        Open in the side panel at once; see :meth:`side_panel`.

    Attributes
    ----------
    prompt, negative_prompt, duration, cfg_scale, camera_control
        The form; observe or link them like any ipywidget's.
    generations : tuple of Generation
        What the list shows, newest first; observable.

    Raises
    ------
    ImageError
        A given picture can't be used.
    InvalidRequestError
        A given value breaks its rule.

    Examples
    --------
    >>> KlingWidget(image="cat.png", prompt="slow dolly in")  # doctest: +SKIP
    """

    _esm = STATIC / "widget.js"
    _css = STATIC / "widget.css"

    prompt = traitlets.Unicode("").tag(sync=True)
    negative_prompt = traitlets.Unicode("").tag(sync=True)
    duration = traitlets.Int(5).tag(sync=True)
    cfg_scale = traitlets.Float(0.5).tag(sync=True)
    camera_control = traitlets.Dict(default_value=None, allow_none=True).tag(sync=True)
    first_frame = traitlets.Dict(default_value=None, allow_none=True).tag(sync=True)
    last_frame = traitlets.Dict(default_value=None, allow_none=True).tag(sync=True)
    entries: traitlets.List[Any] = traitlets.List().tag(sync=True)
    problems: traitlets.List[Any] = traitlets.List().tag(sync=True)
    simulated = traitlets.Bool(True).tag(sync=True)
    estimate = traitlets.Unicode("").tag(sync=True)

    generations = traitlets.Tuple()

    def __init__(
        self,
        image: Any = None,
        prompt: str = "",
        *,
        tail_image: Any = None,
        negative_prompt: str = "",
        duration: int = 5,
        cfg_scale: float = 0.5,
        camera_control: CameraControl | dict[str, Any] | None = None,
        api_key: str | ApiKey | None = None,
        base_url: str | None = None,
        workspace: str | os.PathLike[str] | None = None,
        database: str | Database | None = None,
        simulate: bool | None = None,
        budget: float | None = None,
        side_panel: bool = False,
    ) -> None:
        api_key, database = hidden(api_key), hidden_database(database)
        self._pictures: dict[str, SourceImage | None] = dict.fromkeys(SLOTS)
        self._settings: dict[str, Any] = {"base_url": base_url, "workspace": workspace, "database": database}
        self._uploads = Uploads()
        self._changes: dict[str, int] = dict.fromkeys(SLOTS, 0)
        self._presses, self._resubmissions = Presses(), Presses()
        self._used, self._filling = float("-inf"), 0  # when settings were put into the form; pictures being read for it
        self.placed_in_cell: int | None = None
        self._begin_list()
        # From here on it can be closed, as it is where one of these raises.
        self._budget = checked_budget(budget)
        check_duration(duration)  # as traits they would be refused in the words of traitlets
        check_cfg_scale(cfg_scale)
        self._shown = asyncio.Event()  # used on the background loop only
        self._begun = False
        key, note = look_for_key(api_key) if simulate is None else (None, "")
        on_simulator = key is None if simulate is None else simulate
        self._studio = studio_for(api_key=api_key, simulate=on_simulator, **self._settings)
        if key is not None:
            self._studio.offer_key(key)
        super().__init__(
            prompt=prompt,
            negative_prompt=negative_prompt,
            duration=whole(duration),
            cfg_scale=amount(cfg_scale),
            camera_control=_camera(camera_control),
        )
        self.simulated = self._studio.simulated
        if note:
            self.problems = [{"field": "key", "text": note, "anyway": False}]
        for slot, source in zip(SLOTS, (image, tail_image), strict=True):
            if source is not None:
                self._fill(slot, _loaded(source))
        self.on_msg(self._receive)
        background.go(self._begin(0.0 if kernel_shell() is None else GLANCE))
        if side_panel:
            self.side_panel()

    # For Python

    @property
    def image(self) -> SourceImage | None:
        """The first frame; set it to anything a person calls an image, or None."""
        return self._pictures["first_frame"]

    @image.setter
    def image(self, source: Any) -> None:
        self._fill("first_frame", None if source is None else _loaded(source))

    @property
    def tail_image(self) -> SourceImage | None:
        """The last frame, in the same way."""
        return self._pictures["last_frame"]

    @tail_image.setter
    def tail_image(self, source: Any) -> None:
        self._fill("last_frame", None if source is None else _loaded(source))

    def generate(self, take: Take = "new", *, send_anyway: bool = False) -> Generation:
        """Do what the button does: submit what the form holds. Returns at once.

        Raises
        ------
        KlingError
            Nothing was submitted; the form shows the same sentence.
        """
        form = {name: getattr(self, name) for name in FORM}
        try:
            generation = self._submit(form, self._pictures, send_anyway, take)
        except KlingError as error:
            background.call(self._show_problem, error)
            raise
        background.call(self._follow, generation)
        return generation

    def close(self) -> None:
        """Close the front end and stop listening. Generations go on."""
        self._end_list()
        self._uploads.clear()
        self.on_msg(self._receive, remove=True)
        super().close()

    def _repr_mimebundle_(self, **settings: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """The panel, and a sentence for readers without one: GitHub, nbviewer, nbconvert, a terminal."""
        bundle: Any = super()._repr_mimebundle_(**settings) or {}
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        told = {"text/plain": READ_ONLY, "text/html": f"<p><em>{READ_ONLY}</em></p>"} if data else {}
        return {**data, **told}, metadata

    @traitlets.validate("duration")
    def _valid_duration(self, proposal: Any) -> Any:
        check_duration(proposal["value"])
        return proposal["value"]

    @traitlets.validate("cfg_scale")
    def _valid_cfg_scale(self, proposal: Any) -> Any:
        check_cfg_scale(proposal["value"])
        return proposal["value"]

    @traitlets.validate("camera_control")
    def _valid_camera_control(self, proposal: Any) -> Any:
        return _camera(proposal["value"])

    @traitlets.observe("duration")
    def _duration_changed(self, _change: Any) -> None:
        if self._begun:
            background.go(self._refresh_estimate())

    # Messages

    def _receive(self, _widget: Any, content: Any, buffers: list[memoryview]) -> None:
        """Acknowledge, hand over, return."""
        if not isinstance(content, dict) or content.get("type") not in MESSAGES_IN:
            return
        self.send({"type": "ack", "re": content.get("id")})
        handler: Callable[[Message, list[memoryview]], Coroutine[Any, Any, None]]
        handler = getattr(self, f"_on_{content['type']}")
        background.go(handler(content, buffers))

    # On the background loop

    def _submit(self, form: Message, pictures: dict[str, SourceImage | None], anyway: bool, take: Take) -> Generation:
        given = {name: form.get(name) for name in ("duration", "cfg_scale", "camera_control")}
        return self._studio.submit(
            pictures["first_frame"],
            form.get("prompt", ""),
            tail_image=pictures["last_frame"],
            negative_prompt=form.get("negative_prompt") or None,
            take=take,
            send_anyway=anyway,
            budget=self._budget,
            **given,
        )

    async def _begin(self, patience: float) -> None:
        """Say what a clip costs and show what there is, after the widget is displayed: both would keep it waiting."""
        await background.happens(self._shown, patience)
        if patience:
            await asyncio.sleep(PAINTING)
        self._begun = True
        background.go(self._refresh_estimate())
        await self._take_up()

    async def _load(self, slot: str, source: Any, name: str | None) -> None:
        """Read a picture beside the loop; the newest choice for a slot wins, a bad one leaves the old one there."""
        self._changes[slot] = turn = self._changes[slot] + 1
        self._drop_problem(slot)
        try:
            with self._being_filled():
                picture = await background.in_thread(_loaded, source, name=name)
        except ImageError as error:
            error.field = SLOT_FIELDS[slot]
            self._show_problem(error)
        else:
            if self._changes[slot] == turn:
                self._fill(slot, picture)

    def _fill(self, slot: str, picture: SourceImage | None) -> None:
        self._changes[slot] += 1
        self._pictures[slot] = picture
        setattr(self, slot, frame_of(picture))
        self._drop_problem("camera_control")  # it may have been about both: the model takes a last frame or a camera

    def _use_studio(self, studio: Studio) -> None:
        self._stop_arrivals()
        self._studio = studio
        self.simulated = studio.simulated
        background.go(self._refresh_estimate())

    def _show_problem(self, error: KlingError) -> None:
        problem = problem_of(error)
        self.problems = [*(each for each in self.problems if each["field"] != problem["field"]), problem]

    def _drop_problem(self, field: str) -> None:
        self.problems = [each for each in self.problems if each["field"] != field]


def _camera(control: Any) -> dict[str, Any] | None:
    if control is None:
        return None
    from .motion import camera_json  # only now: a widget is shown before it has a camera

    return camera_json(control)


def _loaded(source: Any, *, name: str | None = None) -> SourceImage:
    from .images import SourceImage  # only now: a widget is shown before it has a picture

    return SourceImage.load(source, name=name)
