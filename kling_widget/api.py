"""The functions most people need: ``generate``, ``submit``, ``resume``, ``generations``; ``balance``, ``spending``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from . import marimo_cell
from . import progress as shown
from .credentials import ApiKey, hidden
from .databases import Database, hidden_database
from .generation import Generation
from .money import Spending
from .notebook_files import in_marimo_cell
from .rules import Take
from .studios import studio_for
from .video import Video

if TYPE_CHECKING:
    from .generation_list import Generations


def submit(
    image: Any,
    prompt: str,
    *,
    tail_image: Any = None,
    take: Take = 1,
    api_key: str | ApiKey | None = None,
    base_url: str | None = None,
    workspace: str | os.PathLike[str] | None = None,
    database: str | Database | None = None,
    simulate: bool = False,
    send_anyway: bool = False,
    budget: float | None = None,
    progress: bool = True,
    **fields: Any,
) -> Generation:
    """Ask for a video and return at once; it is made and saved in the background.

    Repeatable: the same request and `take` returns what exists or is under way and costs nothing.

    Parameters
    ----------
    image
        First frame: a path, bytes, a file object, a URL, a data URI, a PIL image, an array (HxW, HxWx3, HxWx4; uint8 or
        float 0..1), a matplotlib figure, a tensor, a :class:`Video` (its last frame) or an IPython ``Image``.
    prompt
        Scene, subject or action.
    tail_image
        Last frame, in the same forms.
    take
        2, 3 … asks for another video of the same request; ``"new"`` always makes one.
    api_key, base_url, workspace, database, simulate
        Settings; see :class:`Studio`.
    send_anyway
        Send also what the model will probably not take.
    budget
        USD that everything made from this workspace may cost together, this one included (see :class:`Studio`); so a
        notebook can run again without spending it anew. By default ``KLING_WIDGET_BUDGET``, or no limit.
    progress
        Show progress, and then the video, in the output of the running cell (or the terminal).
    **fields
        ``negative_prompt``, ``duration`` (5 or 10, seconds), ``cfg_scale`` (0 to 1), ``static_mask``,
        ``dynamic_masks``, ``camera_control``, and the deprecated ``ratio`` and ``aspect_ratio``.

    Returns
    -------
    Generation
        ``await`` it, or ``.wait()`` for it.

    Raises
    ------
    BudgetExceededError
        It would cost more than `budget` allows.
    KlingError
        Nothing was submitted; see :mod:`kling_widget.errors`.
    """
    api_key, database = hidden(api_key), hidden_database(database)
    studio = studio_for(api_key=api_key, base_url=base_url, workspace=workspace, database=database, simulate=simulate)
    generation = studio.submit(
        image, prompt, tail_image=tail_image, take=take, send_anyway=send_anyway, budget=budget, **fields
    )  # fmt: skip
    if progress:
        _show(generation)
    return generation


def generate(
    image: Any,
    prompt: str,
    *,
    timeout: float | None = None,
    api_key: str | ApiKey | None = None,
    database: str | Database | None = None,
    **arguments: Any,
) -> Video:
    """Make a video and wait for it, with a progress bar.

    Takes everything :func:`submit` takes. Ctrl-C stops the waiting, never the generation.

    Parameters
    ----------
    timeout
        Seconds to wait at most; None waits for good.
    api_key, database
        As of :func:`submit`.

    Returns
    -------
    Video

    Raises
    ------
    StoppedWatchingError
        Time is up; the generation goes on.
    KlingError
        See :mod:`kling_widget.errors`.
    """
    api_key, database = hidden(api_key), hidden_database(database)
    if arguments.get("progress", True) and in_marimo_cell():
        generation = submit(image, prompt, api_key=api_key, database=database, **{**arguments, "progress": False})
        return marimo_cell.wait(generation, timeout)
    return submit(image, prompt, api_key=api_key, database=database, **arguments).wait(timeout)


def resume(
    generation_id: str,
    *,
    api_key: str | ApiKey | None = None,
    base_url: str | None = None,
    workspace: str | os.PathLike[str] | None = None,
    database: str | Database | None = None,
    simulate: bool = False,
    progress: bool = True,
) -> Generation:
    """Go on with a generation by its id, on any later day and also one made elsewhere. Costs nothing.

    Parameters
    ----------
    generation_id
        The vendor's id.
    api_key, base_url, workspace, database, simulate, progress
        As of :func:`submit`.
    """
    api_key, database = hidden(api_key), hidden_database(database)
    studio = studio_for(api_key=api_key, base_url=base_url, workspace=workspace, database=database, simulate=simulate)
    generation = studio.resume(generation_id)
    if progress:
        _show(generation)
    return generation


def generations(
    limit: int | None = None,
    *,
    base_url: str | None = None,
    workspace: str | os.PathLike[str] | None = None,
    database: str | Database | None = None,
    simulate: bool = False,
) -> Generations:
    """Everything ever submitted from this workspace, newest first. Needs no key and asks nobody.

    A list, which is a contact sheet as the last line of a cell.

    Parameters
    ----------
    limit
        Only the latest so many; None: all.
    simulate
        List the simulator's clips instead of the vendor's.
    base_url, workspace, database
        As of :func:`submit`.
    """
    database = hidden_database(database)
    studio = studio_for(base_url=base_url, workspace=workspace, database=database, simulate=simulate)
    return studio.generations(limit)


def _show(generation: Generation) -> None:
    if in_marimo_cell():
        marimo_cell.announce(generation)
    else:
        shown.show(generation)


def balance(
    *, api_key: str | ApiKey | None = None, base_url: str | None = None, simulate: bool = False
) -> float | None:
    """What is left on the account, in USD; None where the vendor doesn't say. Asks the vendor, and costs nothing.

    Raises
    ------
    KlingError
        It could not be asked.
    """
    api_key = hidden(api_key)
    return studio_for(api_key=api_key, base_url=base_url, simulate=simulate).balance()


def spending(
    *,
    base_url: str | None = None,
    workspace: str | os.PathLike[str] | None = None,
    database: str | Database | None = None,
    simulate: bool = False,
) -> Spending:
    """What was spent from this workspace, by day and by notebook, in USD. Needs no key and asks nobody."""
    database = hidden_database(database)
    return studio_for(base_url=base_url, workspace=workspace, database=database, simulate=simulate).spending()
