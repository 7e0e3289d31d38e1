"""``batch`` and ``sweep``: many videos by one call, counted, priced and confirmed before anything is sent."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import Any

from . import background
from .batch_makers import Here, Maker
from .batch_plan import ask, plan
from .batch_rows import Rows, grid, rows_of
from .batches import Batch
from .credentials import ApiKey, hidden
from .databases import Database, hidden_database
from .errors import InvalidRequestError
from .notebook_files import in_notebook
from .rules import whole
from .studio import Studio
from .studios import studio_for

# The vendor documents no limit. Eight under way ask about once a second, and make a clip of 3 minutes every 23 s: the
# first ones can be seen, and the batch stopped, before much is spent.
CONCURRENCY = 8


def batch(
    rows: Any,
    *,
    concurrency: int = CONCURRENCY,
    budget: float | None = None,
    confirm: bool = True,
    keep: Iterable[str] = (),
    progress: bool = True,
    send_anyway: bool = False,
    executor: Any = None,
    api_key: str | ApiKey | None = None,
    base_url: str | None = None,
    workspace: str | os.PathLike[str] | None = None,
    database: str | Database | None = None,
    simulate: bool = False,
    **fields: Any,
) -> Batch:
    """Ask for many videos: says how many and what they cost, asks once, and makes them, so many at a time.

    Repeatable: what is there already, or under way, is not made again. So after a failure, a stop or a crash the same
    call makes what is missing. A row that fails carries its error and stops no other.

    Parameters
    ----------
    rows
        A DataFrame (pandas or polars) or a mapping of columns; or an iterable of mappings, of
        :class:`ImageToVideoRequest` or of pictures. Columns are ``image``, ``prompt``, ``tail_image``,
        ``negative_prompt``, ``duration``, ``cfg_scale``, ``take`` and the other fields of a request, in every form that
        :func:`submit` takes. A missing value (None, NaN) leaves a field unset. Any other column raises, unless `keep`
        names it. In a mapping of columns one value is for every row. An iterator is read beside the notebook, a row
        when there is room for it: it may wait for the next one, and have no end. It is not counted and priced before.
    concurrency
        How many are under way at once, at most. The vendor documents no limit; where it refuses (429), fewer are.
    budget
        USD that everything made from this workspace may cost together (see :class:`Studio`). The first row that would
        go beyond ends the submissions.
    confirm
        False makes them unasked. Nobody is asked where nothing costs anything.
    keep
        Columns to carry along into the results.
    progress
        Show a contact sheet in the output of the running cell, or a line in the terminal.
    executor
        A Dask client (``distributed.Client``, synchronous or asynchronous): its workers make the rows, `concurrency`
        of them in all. They need kling_widget, and a workspace and ledger that all of them reach; see docs/scale.md.
    send_anyway, api_key, base_url, workspace, database, simulate
        As of :func:`submit`.
    **fields
        Fields for every row that does not say otherwise.

    Returns
    -------
    Batch
        ``await`` it or ``.wait()`` for all results, or iterate (``for``, ``async for``) as they come.

    Raises
    ------
    NotConfirmedError
        Answered no, or nobody is there to ask.
    InvalidRequestError
        `rows` are none, or have a column that a request does not have; `executor` is no Dask client.
    ClusterError
        The workers cannot do it. With an asynchronous client this is raised where the batch is awaited.
    KlingError
        Nothing was submitted; see :mod:`kling_widget.errors`.

    Examples
    --------
    >>> from pathlib import Path
    >>> results = kw.batch(sorted(Path("photos").glob("*.jpg")), prompt="slow dolly in").wait()  # doctest: +SKIP
    >>> results.to_pandas()  # doctest: +SKIP
    """
    api_key, database = hidden(api_key), hidden_database(database)
    given = rows_of(rows, fields, keep)
    studio = studio_for(api_key=api_key, base_url=base_url, workspace=workspace, database=database, simulate=simulate)
    return _begin(
        studio, given, concurrency=concurrency, budget=budget, confirm=confirm, progress=progress,
        send_anyway=send_anyway, executor=executor,
    )  # fmt: skip


def sweep(
    *,
    concurrency: int = CONCURRENCY,
    budget: float | None = None,
    confirm: bool = True,
    progress: bool = True,
    send_anyway: bool = False,
    executor: Any = None,
    api_key: str | ApiKey | None = None,
    base_url: str | None = None,
    workspace: str | os.PathLike[str] | None = None,
    database: str | Database | None = None,
    simulate: bool = False,
    **fields: Any,
) -> Batch:
    """Try every combination of some values: a priced grid, asked for once, made like a :func:`batch`.

    Parameters
    ----------
    **fields
        Fields of a request. A list (tuple, range, array of one dimension) is what to try; any other value is for all.
        The last list varies fastest. ``take=[1, 2, 3]`` makes three of each.
    concurrency, budget, confirm, progress, executor, send_anyway, api_key, base_url, workspace, database, simulate
        As of :func:`batch`.

    Returns
    -------
    Batch

    Raises
    ------
    NotConfirmedError, InvalidRequestError, ClusterError, KlingError
        As of :func:`batch`.

    Examples
    --------
    >>> kw.sweep(image="cat.png", prompt=["dolly in", "pan left"], cfg_scale=[0.2, 0.5, 0.8])  # doctest: +SKIP
    """
    api_key, database = hidden(api_key), hidden_database(database)
    rows = grid(fields)
    studio = studio_for(api_key=api_key, base_url=base_url, workspace=workspace, database=database, simulate=simulate)
    return _begin(
        studio, rows, concurrency=concurrency, budget=budget, confirm=confirm, progress=progress,
        send_anyway=send_anyway, executor=executor,
    )  # fmt: skip


def _begin(
    studio: Studio,
    rows: Rows,
    *,
    concurrency: int = CONCURRENCY,
    budget: float | None = None,
    confirm: bool = True,
    progress: bool = True,
    send_anyway: bool = False,
    executor: Any = None,
) -> Batch:
    """Count, price, ask, and start. Parameters as of :func:`batch`."""
    at_once = whole(concurrency)
    if at_once is None or at_once < 1:
        raise InvalidRequestError(f"concurrency must be 1 or more, not {concurrency!r}.")
    maker = _maker(executor, studio, budget=budget, send_anyway=send_anyway)
    planned = plan(studio, rows, budget)
    if planned.to_make or planned.rows is None:
        studio.require_key()
    if progress or (confirm and planned.costs):
        print(planned, file=None if in_notebook() else sys.stderr)
    if confirm:
        ask(planned)
    batch = Batch(studio, rows, planned, maker, concurrency=at_once)
    batch.start(progress=progress)
    return batch


def _maker(executor: Any, studio: Studio, *, budget: float | None, send_anyway: bool) -> Maker:
    """Who makes the rows: this process, or Dask workers, which are looked at before anybody is asked."""
    if executor is None:
        return Here(studio, budget=budget, send_anyway=send_anyway)
    # Nothing of Dask is imported here: who has a client has imported it.
    client = getattr(sys.modules.get("distributed"), "Client", None)
    if client is None or not isinstance(executor, client):
        raise InvalidRequestError(
            f"executor must be a Dask client, not {type(executor).__name__}.",
            hint="from dask.distributed import Client; executor=Client(address_or_cluster).",
        )
    from .dask_maker import OnWorkers

    studio.require_key()
    maker = OnWorkers(executor, studio, budget=budget, send_anyway=send_anyway)
    if not executor.asynchronous:
        background.wait(background.start(maker.check()))
    return maker
