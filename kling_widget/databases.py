"""``Database``: where a ledger is that is not in the workspace, and never showing the password to it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import InvalidRequestError

if TYPE_CHECKING:
    import sqlalchemy as sa

KINDS = ("postgresql+psycopg", "sqlite")
HOW = (
    "A ledger's database is named as in postgresql+psycopg://user:password@host/database, "
    "or as sqlite:////absolute/path/of/a/file."
)


class Database:
    """A database's URL that shows its password nowhere: ``repr``, ``str``, pickles and copies of state hide it.

    Parameters
    ----------
    url
        As SQLAlchemy writes them. Nothing is looked at before :meth:`check`.
    """

    __slots__ = ("__url",)

    def __init__(self, url: str | Database) -> None:
        self.__url = url.reveal() if isinstance(url, Database) else str(url).strip()

    def reveal(self) -> str:
        """The whole URL, with the password."""
        return self.__url

    def check(self) -> None:
        """See whether a ledger can be kept in a database of that name; asks nobody.

        Raises
        ------
        InvalidRequestError
            It is no database URL, or one of a kind that we don't know.
        """
        self.parts()

    def parts(self) -> tuple[sa.URL, dict[str, Any]]:
        """The URL without anything secret, and what is secret in it, by the names of the driver's arguments.

        Raises
        ------
        InvalidRequestError
            As of :meth:`check`.
        """
        url = _parsed(self)
        if url is None:
            raise InvalidRequestError("This is no database URL.", hint=HOW)
        kind = "postgresql+psycopg" if url.drivername in ("postgresql", "postgres") else url.drivername
        if kind not in KINDS:
            raise InvalidRequestError(f"No ledger can be kept in a database of the kind {kind!r}.", hint=HOW)
        if kind == "sqlite" and not (url.database and Path(url.database).is_absolute() and not url.query):
            raise InvalidRequestError("A SQLite ledger is one file, with its absolute path.", hint=HOW)
        secret = {name: str(value) for name, value in url.query.items() if "pass" in name.lower()}
        if url.password is not None:
            secret["password"] = str(url.password)
        clear = url.set(drivername=kind, query={name: url.query[name] for name in url.query if name not in secret})
        return clear._replace(password=None), secret

    @property
    def file(self) -> Path | None:
        """The file, where it is SQLite's."""
        url, _ = self.parts()
        return Path(str(url.database)) if url.drivername == "sqlite" else None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Database) and self.__url == other.reveal()

    def __hash__(self) -> int:
        return hash(self.__url)

    def __str__(self) -> str:
        """For sentences: kind, user, host and name."""
        url = _parsed(self)
        if url is None:
            return "(unreadable)"
        return url._replace(password=None).set(query={}).render_as_string()

    def __repr__(self) -> str:
        return f"Database({str(self)!r})"

    def __reduce__(self) -> Any:
        raise TypeError("A database's URL is never pickled: its password would be. Set KLING_WIDGET_DATABASE there.")


def _parsed(database: Database) -> sa.URL | None:
    """What SQLAlchemy reads; its own error is not to be seen, for it holds what it could not read."""
    from sqlalchemy import exc, make_url

    try:
        return make_url(database.reveal())
    except (exc.ArgumentError, ValueError):  # ValueError: a port that is no number
        return None


def hidden_database(database: str | Database | None) -> Database | None:
    """The argument of a public function, hidden: from here on none of its frames holds the bare text."""
    return None if database is None else Database(database)


def database_of(database: str | Database | None) -> Database | None:
    """The database that holds: the argument, else ``KLING_WIDGET_DATABASE``, else None: a file in the workspace.

    Raises
    ------
    InvalidRequestError
        As of :meth:`Database.check`.
    """
    chosen = hidden_database(database)
    database = None
    if chosen is None:
        chosen = Database(os.environ.get("KLING_WIDGET_DATABASE", ""))
    if not chosen.reveal():
        return None
    chosen.check()
    return chosen
