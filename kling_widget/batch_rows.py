"""What people give as the rows of a batch: iterables, columns, DataFrames, grids. Read one row at a time."""

from __future__ import annotations

import itertools
import math
import os
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Set, Sized, ValuesView
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any

from .errors import InvalidRequestError
from .picture_sources import is_base64_picture
from .request import ImageToVideoRequest
from .rules import whole

PICTURES = ("image", "tail_image", "static_mask")
FIELDS = (
    *("image", "prompt", "tail_image", "negative_prompt", "duration", "cfg_scale", "take"),
    *("static_mask", "dynamic_masks", "camera_control", "ratio", "aspect_ratio"),
)
API_NAMES = {"image_url": "image", "tail_image_url": "tail_image"}  # the request's own names for what we call so
RESULT_COLUMNS = ("row", "status", "video", "generation_id", "seconds", "usd", "error")


@dataclass(frozen=True)
class BatchRow:
    """One row: the arguments of :meth:`kling_widget.Studio.submit`, and what is only carried along."""

    fields: dict[str, Any]
    kept: dict[str, Any]


@dataclass(frozen=True)
class Rows:
    """Rows that are read one at a time.

    Attributes
    ----------
    read
        Gives an iterator over the raw rows, from the first one; where `length` is None only once.
    length
        How many there are; None where that is known only in the end, if there is one.
    common
        Fields of every row that does not say otherwise.
    keep
        Columns to carry along into the results.
    axes
        Of a grid: the values of each field that varies, the fastest last.
    """

    read: Callable[[], Iterator[Any]]
    length: int | None
    common: Mapping[str, Any]
    keep: tuple[str, ...] = ()
    axes: Mapping[str, Collection[Any]] | None = None

    def row(self, raw: Any) -> BatchRow:
        """A raw row with the common fields; anything but a mapping is its picture.

        Raises
        ------
        InvalidRequestError
            It has a column that a request does not have.
        """
        if isinstance(raw, ImageToVideoRequest):
            given = {name: value for name, value in raw.body().items() if name != "model"}
        else:
            given = dict(raw) if isinstance(raw, Mapping) else {"image": raw}
        kept = {name: given.pop(name, None) for name in self.keep}
        check_columns(given)
        fields: dict[str, Any] = {}
        for name, value in (*self.common.items(), *given.items()):
            if not _is_missing(value):
                fields[API_NAMES.get(name, name)] = _counted(name, value)
        return BatchRow(fields, kept)


def rows_of(given: Any, common: Mapping[str, Any], keep: Iterable[str] = ()) -> Rows:
    """Rows from whatever a person has.

    Parameters
    ----------
    given
        A DataFrame (pandas, polars); a mapping of columns; or an iterable of mappings, requests or pictures.
    common
        Fields of every row that does not say otherwise.
    keep
        Names of columns to carry along into the results.

    Raises
    ------
    InvalidRequestError
        These are no rows, or have a column that a request does not have.
    """
    check_columns(common, "argument")
    kept = (keep,) if isinstance(keep, str) else tuple(keep)
    for name in kept:
        if name in (*FIELDS, *API_NAMES, *RESULT_COLUMNS):
            raise InvalidRequestError(f"keep={name!r}: the results have a column of that name anyway.")
    if _is_frame(given, "pandas"):
        names = list(given.columns)
        check_columns([name for name in names if name not in kept])
        return Rows(
            lambda: (dict(zip(names, values, strict=True)) for values in given.itertuples(index=False, name=None)),
            *(len(given), common, kept),
        )
    if _is_frame(given, "polars"):
        check_columns([name for name in given.columns if name not in kept])
        return Rows(lambda: given.iter_rows(named=True), len(given), common, kept)
    if isinstance(given, Mapping):
        return _of_columns(given, common, kept)
    if isinstance(given, (str, bytes, bytearray, os.PathLike)) or not isinstance(given, Iterable):
        raise InvalidRequestError(
            f"A {type(given).__name__} has no rows.",
            hint="Give a list of mappings or pictures, a mapping of columns, a DataFrame, or anything that iterates.",
        )
    if _is_one_picture(given):  # which iterates, over its lines
        raise InvalidRequestError(
            f"This {type(given).__name__} is one picture, not rows.", hint="Give a list of pictures, or of mappings."
        )
    # Not whatever has a length: tqdm(generator, total=…) has one, and gives its rows only once.
    repeats = isinstance(given, (Set, ValuesView)) or hasattr(given, "__getitem__")
    length = len(given) if repeats and isinstance(given, Sized) else None
    return Rows(lambda: iter(given), length, common, kept)


def grid(fields: Mapping[str, Any]) -> Rows:
    """Every combination of the fields' values; the last field varies fastest.

    Raises
    ------
    InvalidRequestError
        A request has no such field, or a field has no values.
    """
    check_columns(fields, "argument")
    columns = {API_NAMES.get(name, name): values_of(name, value) for name, value in fields.items()}
    axes = {name: values for name, values in columns.items() if values is not None}
    fixed = {name: fields[name] for name in fields if columns[API_NAMES.get(name, name)] is None}
    for name, values in axes.items():
        if not values:
            raise InvalidRequestError(f"{name} has no values to try.", field=name)
    return Rows(
        lambda: (dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())),
        math.prod(len(values) for values in axes.values()),
        fixed,
        axes=axes,
    )


def _of_columns(given: Mapping[str, Any], common: Mapping[str, Any], kept: tuple[str, ...]) -> Rows:
    check_columns([name for name in given if name not in kept])
    columns = {name: values_of(name, value) for name, value in given.items()}
    lengths = {name: len(values) for name, values in columns.items() if values is not None}
    if len(set(lengths.values())) > 1:
        said = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise InvalidRequestError(f"The columns are not of one length: {said}.", hint="One value is for every row.")
    length = next(iter(lengths.values()), 1)
    return Rows(
        lambda: (
            {name: given[name] if values is None else values[place] for name, values in columns.items()}
            for place in range(length)
        ),
        *(length, common, kept),
    )


def values_of(name: str, value: Any) -> list[Any] | None:
    """The values of a column or axis; None for one value, which is for every row.

    A picture that is an array is one value; an array of one dimension is a column.
    """
    single = (str, bytes, bytearray, memoryview, Mapping, os.PathLike)
    if isinstance(value, single) or not isinstance(value, Iterable) or hasattr(value, "read"):
        return None
    if getattr(value, "ndim", 1) != 1:
        return None
    values = list(value)
    if name == "dynamic_masks" and not all(each is None or isinstance(each, (list, tuple)) for each in values):
        return None  # one request's masks, which are a list themselves
    return values


def check_columns(names: Iterable[str], what: str = "column") -> None:
    """Raise `InvalidRequestError` for a name that a request does not have, or has twice: a misspelt one costs money."""
    seen = set()
    for name in names:
        known = API_NAMES.get(name, name)
        if known not in FIELDS:
            along = "" if what == "argument" else f" To carry it along into the results: keep=[{name!r}]."
            raise InvalidRequestError(
                f"A request has no {what} {name!r}.", hint=f"Known are {', '.join(FIELDS)}.{along}"
            )
        if known in seen:
            raise InvalidRequestError(f"The {what} {known} is there twice, once under its API name.", field=known)
        seen.add(known)


def described(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a row without its pictures: their paths or names, so that a result holds no megabytes."""
    told = {**fields, **{name: _picture_name(fields[name]) for name in PICTURES if fields.get(name) is not None}}
    if told.get("dynamic_masks") is not None:
        told["dynamic_masks"] = len(told["dynamic_masks"])
    return told


def _picture_name(picture: Any) -> str:
    if isinstance(picture, str):
        return "picture" if picture.startswith("data:") or is_base64_picture(picture) else picture
    if isinstance(picture, os.PathLike):
        return os.fsdecode(picture)
    name = getattr(picture, "name", None) or getattr(picture, "filename", None)
    return Path(name).name if isinstance(name, str) else "picture"


def _is_one_picture(given: Any) -> bool:
    """A file, or an array of height and width, and perhaps of 1, 3 or 4 channels."""
    ndim = getattr(given, "ndim", None)
    return hasattr(given, "read") or ndim == 2 or (ndim == 3 and given.shape[-1] in (1, 3, 4))


def _is_frame(given: Any, package: str) -> bool:
    kind = getattr(sys.modules.get(package), "DataFrame", None)
    return kind is not None and isinstance(given, kind)


def _is_missing(value: Any) -> bool:
    """None, NaN, and pandas' NA and NaT."""
    if isinstance(value, Real):
        return math.isnan(value)
    return value is None or is_gap(value)


def is_gap(value: Any) -> bool:
    """Whether it is pandas' NA or NaT; pandas is not imported for that."""
    return type(value).__name__ in ("NAType", "NaTType")


def _counted(name: str, value: Any) -> Any:
    """What is counted as an int, where it is a whole number; else as it is, for the rule of its field."""
    number = whole(value) if name in ("duration", "take") else None
    return value if number is None else number
