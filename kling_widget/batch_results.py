"""What became of all rows of a batch: a sequence, a table, and a contact sheet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, overload

from .batch_rows import is_gap
from .errors import KlingError
from .money import dollars
from .notebook_files import runs_now
from .row_results import Result
from .row_tiles import NAMES, failures, poster_tile, result_tile
from .tiles import SHOWN, page

if TYPE_CHECKING:
    import pandas
    import polars

    from .video import Video


@dataclass(frozen=True)
class Looks:
    """How results are shown.

    Attributes
    ----------
    names
        Fields that tell a row from the others.
    columns
        Tiles in a line; 0: as many as there is room for.
    in_cell
        Number of the cell whose output shows them already.
    """

    names: Sequence[str] = NAMES
    columns: int = 0
    in_cell: int | None = None


class Results(Sequence[Result]):
    """All results in the order of the rows. A contact sheet as the last line of a cell.

    Parameters
    ----------
    results
        In any order.
    looks
        How they are shown.
    """

    def __init__(self, results: Iterable[Result], looks: Looks = Looks()) -> None:
        self._results = sorted(results, key=lambda result: result.row)
        self._looks = looks

    @overload
    def __getitem__(self, place: int) -> Result: ...
    @overload
    def __getitem__(self, place: slice) -> Results: ...
    def __getitem__(self, place: int | slice) -> Result | Results:
        return self._part(self._results[place]) if isinstance(place, slice) else self._results[place]

    def __len__(self) -> int:
        return len(self._results)

    @property
    def videos(self) -> list[Video]:
        """The videos of the rows that have one."""
        return [video for video in (result.video for result in self) if video is not None]

    @property
    def failed(self) -> Results:
        """The rows that were tried and have no video."""
        return self._part(result for result in self if result.failed)

    @property
    def left(self) -> Results:
        """The rows that were not submitted, because the budget was used up or the account refused."""
        return self._part(result for result in self if result.status == "left")

    def _part(self, results: Iterable[Result]) -> Results:
        """Some of them: no grid any more, and nowhere shown yet."""
        return Results(results, replace(self._looks, columns=0, in_cell=None))

    @property
    def usd(self) -> float:
        """What the clips cost together in USD, as far as that is known by now."""
        costs = {result.key: result.usd for result in self if result.key is not None}
        return sum(usd for usd in costs.values() if usd is not None)

    def to_dicts(self) -> list[dict[str, Any]]:
        """One dict a row, all with the same keys: for a table of any kind."""
        rows = [result.to_dict() for result in self]
        names = dict.fromkeys(name for row in rows for name in row if name not in _LAST)
        return [{name: row.get(name) for name in (*names, *_LAST)} for row in rows]

    def to_pandas(self) -> pandas.DataFrame:
        """A pandas DataFrame, one line a row.

        Raises
        ------
        KlingError
            pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise _missing("pandas") from None
        rows = self.to_dicts()
        return pandas.DataFrame(rows, columns=_names(rows))

    def to_polars(self) -> polars.DataFrame:
        """A polars DataFrame, one line a row; what polars has no type for is text in it.

        Raises
        ------
        KlingError
            polars is not installed.
        """
        try:
            import polars
        except ImportError:
            raise _missing("polars") from None
        rows = self.to_dicts()
        return polars.DataFrame([_series(name, [_plain(row[name]) for row in rows]) for name in _names(rows)])

    def _parts(self) -> list[str]:
        made, failed, left = sum(result.place is not None for result in self), len(self.failed), len(self.left)
        usd = self.usd
        parts = [
            f"{len(self):,} {'row' if len(self) == 1 else 'rows'}: {made:,} with a video",
            f"{failed:,} failed" if failed else "",
            f"{left:,} not submitted" if left else "",
            dollars(usd) if usd else "",
            "simulated" if any(result.simulated for result in self) else "",
        ]
        return [part for part in parts if part]

    def __repr__(self) -> str:
        return f"<Results of {', '.join(self._parts())}>"

    def _repr_html_(self) -> str | None:
        if runs_now(self._looks.in_cell):
            return None  # the batch's own sheet stands there; the `repr` below it says the rest
        names, some = self._looks.names, self._results[:SHOWN]
        parts = [*self._parts(), *([f"the first {SHOWN} are shown"] if len(self) > SHOWN else [])]
        failed = self.failed
        return page(
            " · ".join(parts), None, [poster_tile(result_tile(result, names), result) for result in some],
            notes=failures(failed, len(failed)), columns=self._looks.columns, over=True,
        )  # fmt: skip


_LAST = ("status", "video", "generation_id", "seconds", "usd", "error")


def _names(rows: list[dict[str, Any]]) -> list[str]:
    return list(rows[0]) if rows else ["row", *_LAST]


def _series(name: str, values: list[Any]) -> polars.Series:
    """A column of a polars table; of text where polars has no type that holds all of its values."""
    import polars

    try:
        # Not Series(values): that takes the type of the first value, and refuses whole numbers beside others.
        series = polars.DataFrame([{name: value} for value in values], infer_schema_length=None).get_column(name)
    except (TypeError, ValueError, OverflowError, RuntimeError, polars.exceptions.PolarsError):  # all ways of its no
        series = None
    if series is not None and series.dtype != polars.Object:
        return series
    return polars.Series(name, [None if value is None else str(value) for value in values], dtype=polars.String)


def _plain(value: Any) -> Any:
    """A number or time of NumPy's as Python's, and pandas' gaps as None; all else as it is."""
    if is_gap(value):
        return None
    if not hasattr(value, "dtype") or getattr(value, "ndim", None) != 0:
        return value
    plain = value.item()
    counts = value.dtype.kind in "mM" and isinstance(plain, int)  # nanoseconds, for which Python has no type
    return value.astype(f"{value.dtype.kind}8[us]").item() if counts else plain


def _missing(package: str) -> KlingError:
    return KlingError(f"{package} is not installed.", hint=f"pip install {package}, or use .to_dicts().")
