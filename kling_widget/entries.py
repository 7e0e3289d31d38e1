"""What the front end is told of a picture and of a generation: small, and without bytes; and its Python."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from . import camera
from .providers import SIMULATOR

if TYPE_CHECKING:
    from .databases import Database
    from .errors import KlingError
    from .generation import Generation
    from .images import SourceImage

# Request field (as the API names it) → field of the form.
FORM_FIELDS = {
    "image_url": "first_frame",
    "tail_image_url": "last_frame",
    "prompt": "prompt",
    "negative_prompt": "negative_prompt",
    "duration": "duration",
    "cfg_scale": "cfg_scale",
    "camera_control": "camera_control",
}


def frame_of(picture: SourceImage | None) -> dict[str, Any] | None:
    """The Frame of the contract."""
    if picture is None:
        return None
    facts = ("name", "width", "height", "size", "media_type", "url")
    return {
        **{name: getattr(picture, name) for name in facts},
        "key": picture.sha256,
        "changes": list(picture.changes),
        "warnings": list(picture.warnings),
    }


def entry_of(generation: Generation) -> dict[str, Any]:
    """The Entry of the contract."""
    from .money import charge  # only now: a widget is shown before it has entries
    from .progress import WORDS

    row = generation.row
    expected = generation.expected if generation.active else None
    return {
        "key": generation.key,
        "generation_id": generation.id,
        "status": generation.status,
        "text": WORDS[generation.status],
        "prompt": row.request.get("prompt", ""),
        "duration": row.request.get("duration") or 5,
        "cfg_scale": row.request.get("cfg_scale"),
        "camera": camera.words(row.request.get("camera_control")) or None,
        "take": row.take,
        "started": row.created,
        "elapsed": round(generation.elapsed, 2),
        "expected": expected and expected.median,
        "late": expected and expected.late,
        "active": generation.active,
        "simulated": generation.simulated,
        "cost": charge(row.usd, row.provider) or None,
        **_problem_of(generation),
        "video": _video_of(generation),
    }


def problem_of(error: KlingError) -> dict[str, Any]:
    """The Problem of the contract."""
    from .errors import AuthenticationError, MissingKeyError

    about_key = isinstance(error, MissingKeyError | AuthenticationError)
    field = "key" if about_key else FORM_FIELDS.get(error.field or "", "form")
    hint = "" if error.advice else error.hint
    if isinstance(error, MissingKeyError):
        hint = "Nothing was submitted. Enter one here, or set AIMLAPI_KEY before you open the widget."
    return {"field": field, "text": f"{error.message} {hint}".strip(), "anyway": error.advice}


def source_of(generation: Generation, settings: Mapping[str, Any]) -> str:
    """A cell that shows this generation's video. It costs nothing, whatever has become of the workspace: no `generate`.

    Parameters
    ----------
    settings
        Keyword arguments of the widget that are not their defaults where they are not None.
    """
    told = {**settings, "database": _told(settings.get("database"))}
    given = {name: os.fspath(value) for name, value in told.items() if value is not None}
    if generation.row.provider == SIMULATOR:
        given["simulate"] = True
    arguments = ", ".join([repr(generation.id or generation.key), *(f"{name}={given[name]!r}" for name in given)])
    prompt = generation.row.request.get("prompt", "")
    prompt = prompt if len(prompt) <= 80 else f"{prompt[:80]}…"
    # `repr`, so that a prompt stays one line and a comment.
    return f"import kling_widget as kw\n\n# {prompt!r}\nvideo = kw.resume({arguments}).wait()"


def _told(database: Database | None) -> str | None:
    """A database's URL for a notebook; None where that would put a password into it: the video is found without."""
    return None if database is None or database.parts()[1] else database.reveal()


def _problem_of(generation: Generation) -> dict[str, Any]:
    from .errors import AuthenticationError

    error = generation.error
    if error is None:
        return {"problem": generation.row.error_message, "hint": generation.note}
    if isinstance(error, AuthenticationError):
        return {"problem": "The key was refused.", "hint": ""}  # what to do stands beside the key
    return {"problem": error.message, "hint": error.hint}


def _video_of(generation: Generation) -> dict[str, Any] | None:
    video = generation.video
    if video is None:
        return None
    from .video import notebook_relative

    info = video.known()
    return {
        "url": notebook_relative(video.place) if info is not None else None,
        "path": video.address,
        "width": info and info.width,
        "height": info and info.height,
        "size": video.size if info is not None else None,
        "duration": info and info.duration,
    }
