"""What was charged, as a running sum that the database keeps itself: a budget costs no look at every row.

Triggers, and not code of ours, so that no way to write a row can forget them; in one transaction with the row.
The statements here are part of a released schema: one that must change is a new step of the migrations.
"""

from __future__ import annotations

from .ledger_row import FREE_TAKE

RESUMED = "resumed:"  # how the request hash begins of what was resumed by its id alone: it was paid for elsewhere


def _counted(row: str) -> str:
    """SQL, of a trigger, for what a row adds to the sum."""
    free = ", ".join(f"'{status}'" for status in FREE_TAKE)
    ours = f"substr({row}.request_hash, 1, {len(RESUMED)}) <> '{RESUMED}' AND {row}.status NOT IN ({free})"
    return f"CASE WHEN {row}.usd IS NOT NULL AND {ours} THEN {row}.usd ELSE 0 END"


def _add(row: str, amount: str) -> str:
    into = f"INSERT INTO charges (provider, usd) VALUES ({row}.provider, {amount})"  # noqa: S608 — nothing from outside
    return f"{into} ON CONFLICT (provider) DO UPDATE SET usd = charges.usd + excluded.usd"


_NEW = _add("NEW", _counted("NEW"))
_CHANGED = _add("NEW", f"{_counted('NEW')} - {_counted('OLD')}")
_GONE = _add("OLD", f"-({_counted('OLD')})")

SQLITE = (
    f"CREATE TRIGGER charges_new AFTER INSERT ON generations WHEN NEW.usd IS NOT NULL BEGIN {_NEW}; END",
    "CREATE TRIGGER charges_changed AFTER UPDATE OF usd, status ON generations "
    f"WHEN NEW.usd IS NOT NULL OR OLD.usd IS NOT NULL BEGIN {_CHANGED}; END",
    f"CREATE TRIGGER charges_gone AFTER DELETE ON generations WHEN OLD.usd IS NOT NULL BEGIN {_GONE}; END",
)

_FUNCTION = "LANGUAGE plpgsql AS $$ BEGIN {}; RETURN NULL; END $$"
_CALL = "FOR EACH ROW WHEN ({}) EXECUTE FUNCTION {}()"
POSTGRESQL = tuple(
    statement
    for name, event, when, act in (
        ("charges_new", "INSERT", "NEW.usd IS NOT NULL", _NEW),
        ("charges_changed", "UPDATE OF usd, status", "NEW.usd IS NOT NULL OR OLD.usd IS NOT NULL", _CHANGED),
        ("charges_gone", "DELETE", "OLD.usd IS NOT NULL", _GONE),
    )
    for statement in (
        f"CREATE FUNCTION {name}() RETURNS trigger {_FUNCTION.format(act)}",
        f"CREATE TRIGGER {name} AFTER {event} ON generations {_CALL.format(when, name)}",
    )
)
