"""The ledger: written first, one row for one request and take, whatever else happens."""

from __future__ import annotations

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from unittest.mock import Mock

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from kling_widget.databases import Database
from kling_widget.ledger import Ledger, Row
from kling_widget.ledger_places import place_of
from kling_widget.ledger_schema import SCHEMA_VERSION, table
from kling_widget.money import Sums
from kling_widget.workspace import Workspace


@pytest.fixture(params=["file", "old sqlite", "postgres"])
def opened(request, tmp_path):
    """Opens the test's ledger once more, as another process would; on each kind of database.

    An old SQLite, before 3.35, cannot tell of a changed row what it is now.
    """
    database = Database(request.getfixturevalue("postgres_url")) if request.param == "postgres" else None
    ledgers = []

    def opened():
        ledgers.append(Ledger(place_of(database, tmp_path)))
        ledgers[-1]._engine.dialect.update_returning &= request.param != "old sqlite"
        return ledgers[-1]

    yield opened
    for each in ledgers:
        each.close()


@pytest.fixture
def ledger(opened):
    return opened()


def row(number=1, **changes):
    return Row(**{"client_request_id": f"kw-{number}", "provider": "simulator", "request_hash": "a" * 64, **changes})


def test_a_row_survives_the_process_that_wrote_it(ledger, opened):
    ledger.admit(row(request={"prompt": "p", "cfg_scale": 0}, pictures={"image_url": {"name": "cat.png"}}))
    ledger.update("kw-1", generation_id="id/1:x", status="queued", accepted=5.0)
    found = opened().get("kw-1")
    assert found is not None
    assert (found.generation_id, found.status, found.request["cfg_scale"]) == ("id/1:x", "queued", 0)


def test_the_same_request_and_take_is_one_row(ledger):
    first, ours = ledger.admit(row(1))
    assert ours
    held, ours = ledger.admit(row(2))
    assert (held.client_request_id, ours) == (first.client_request_id, False)
    assert ledger.admit(row(3, take=2))[1]
    assert ledger.admit(row(4, provider="https://api.example"))[1]
    assert ledger.admit(row(5), new_take=True)[0].take == 3


def test_a_take_that_was_free_a_moment_ago_is_not_looked_for(ledger, statements):
    said = statements(ledger)
    assert ledger.admit(row(1), free=True)[1]
    assert not [statement for statement in said if "request_hash =" in statement]


@pytest.mark.parametrize("check", [None, Mock(side_effect=AssertionError("nothing is to be paid"))])
def test_a_take_that_another_took_a_moment_ago_is_found(ledger, check):
    first, _ = ledger.admit(row(1))
    assert ledger.admit(row(2), free=True, check=check) == (first, False)


def test_many_threads_that_saw_the_same_take_free_make_one_row(opened):
    results = at_once(lambda number: opened().admit(row(number), free=True))
    assert [ours for _, ours in results].count(True) == 1
    assert len({held.client_request_id for held, _ in results}) == 1


def test_what_was_asked_for_and_not_refused(ledger):
    asked = [("a", 1, "queued"), ("a", 2, "completed"), ("b", 1, "error"), ("c", 1, "completed")]
    for number, (letter, take, status) in enumerate(asked):
        provider = "https://x" if letter == "c" else "simulator"
        ledger.admit(row(number, request_hash=letter, take=take, provider=provider, request={"prompt": f"p {letter}"}))
        ledger.update(f"kw-{number}", status=status)
    found = ledger.asked("simulator")
    assert found.statuses == {("a", 1): "queued", ("a", 2): "completed"}
    assert found.prompts == {"p a"}


@pytest.mark.parametrize("status", ["rejected", "error"])
def test_a_take_the_vendor_refused_can_be_tried_again(ledger, status):
    ledger.admit(row(1))
    ledger.update("kw-1", status=status)
    assert ledger.admit(row(2))[1]


@pytest.mark.parametrize("status", ["submitting", "unknown", "queued", "generating", "completed"])
def test_a_take_that_may_have_cost_money_stays_held(ledger, status):
    ledger.admit(row(1))
    ledger.update("kw-1", status=status)
    assert not ledger.admit(row(2))[1]


def at_once(ask):
    """Run `ask(number)` in eight threads that start together; what they return."""
    start = threading.Barrier(8, timeout=30)

    def run(number):
        start.wait()
        return ask(number)

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(run, range(8)))


def test_many_threads_that_ask_for_the_same_take_make_one_row(opened):
    results = at_once(lambda number: opened().admit(row(number)))
    assert [ours for _, ours in results].count(True) == 1
    assert len({held.client_request_id for held, _ in results}) == 1


def test_many_threads_that_ask_for_a_new_take_get_one_each(opened):
    results = at_once(lambda number: opened().admit(row(number), new_take=True))
    assert sorted(held.take for held, _ in results) == list(range(1, 9))


def test_what_was_asked_for_is_never_rewritten(ledger):
    ledger.admit(row(1))
    with pytest.raises(ValueError, match="never change"):
        ledger.update("kw-1", request_hash="b")
    with pytest.raises(LookupError):
        ledger.update("kw-none", status="queued")


def test_what_a_process_never_sent_gives_its_take_back_and_nothing_else_does(ledger):
    kinds = [{}, {"status": "unknown"}, {"generation_id": "g"}, {"lease_owner": "elsewhere"}, {"status": "queued"}]
    for number, changes in enumerate([*kinds, {}]):
        ledger.admit(row(number, request_hash=str(number), lease_owner="us", lease_until=5.0))
        if changes:
            ledger.update(f"kw-{number}", **changes)
    before = {each.client_request_id: each for each in ledger.rows()}
    named = [f"kw-{number}" for number in range(5)]
    ledger.withdraw("us", [*named, *(f"kw-none-{number}" for number in range(2000))], "The end came first.")
    withdrawn = ledger.get("kw-0")
    assert (withdrawn.status, withdrawn.error_message, withdrawn.lease_owner) == (
        "rejected",
        "The end came first.",
        None,
    )
    assert ledger.admit(row(10, request_hash="0"))[1]
    for key in (*named[1:], "kw-5"):
        assert ledger.get(key) == before[key]


def test_a_row_is_put_back_once_and_whoever_holds_its_take_keeps_it(ledger):
    lost = row(1, status="queued", generation_id="g1", lease_owner="us", lease_until=5.0)
    ledger.put_back(lost)
    assert ledger.get("kw-1") == lost
    assert ledger.get("kw-1").lease_owner == "us"
    assert not ledger.admit(row(2))[1]
    ledger.update("kw-1", status="completed")
    ledger.put_back(lost)
    assert ledger.get("kw-1").status == "completed"
    ledger.put_back(row(3, status="queued", generation_id="g3"))
    assert ledger.get("kw-3").generation_id == "g3"
    assert ledger.holder("simulator", "a" * 64, 1).client_request_id == "kw-1"


def test_unfinished_is_all_that_a_new_kernel_must_go_on_with(ledger):
    states = ["submitting", "queued", "generating", "unknown", "completed", "completed", "rejected", "error"]
    for number, status in enumerate(states):
        ledger.admit(row(number, request_hash=str(number), created=float(number)))
        ledger.update(f"kw-{number}", status=status, saved=1.0 if number == 5 else None)
    assert [each.client_request_id for each in ledger.unfinished()] == [f"kw-{number}" for number in range(5)]
    assert [each.client_request_id for each in ledger.rows(limit=2)] == ["kw-7", "kw-6"]


def test_durations_are_those_of_the_same_length_and_provider_the_latest_last(ledger):
    kinds = [(5, "simulator"), (10, "simulator"), (5, "https://x"), (None, "simulator")]
    for number, (duration, provider) in enumerate(kinds):
        request = {} if duration is None else {"duration": duration}
        ledger.admit(row(number, request_hash=str(number), provider=provider, request=request))
        ledger.update(f"kw-{number}", completed=1000.0 - number, took=10.0 + number)
    assert ledger.durations("simulator", 5) == ledger.durations("simulator", None) == [13.0, 10.0]  # 5 s is the default
    assert ledger.durations("simulator", 10) == [11.0]
    assert ledger.durations("simulator", 5, limit=1) == [10.0]


def test_durations_are_in_the_vendors_seconds_and_only_what_was_watched_counts(ledger):
    for number, took in enumerate([8.0, None]):
        ledger.admit(row(number, request_hash=str(number), time_factor=23.25))
        ledger.update(f"kw-{number}", accepted=100.0, completed=3600.0, took=took)
    assert ledger.durations("simulator", 5) == [186.0]


def test_the_file_is_in_wal_mode_and_names_its_schema_version(tmp_path):
    ledger = Ledger(tmp_path / "ledger.sqlite")
    ledger.admit(row())
    with sqlite3.connect(tmp_path / "ledger.sqlite") as plain:
        assert plain.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert plain.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
        assert plain.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_file_names_are_readable_unique_and_stay_in_the_folder(tmp_path):
    workspace = Workspace(tmp_path)
    hostile = row(
        request={"prompt": "../../etc/passwd <b>Wow</b> très bien " * 9},
        pictures={"image_url": {"name": "..\\..\\cät.png"}},
        take=2,
        created=0.0,
    )
    name = workspace.name_video(hostile)
    assert name.endswith("take2-kw-1.mp4")
    assert len(name) < 120
    assert workspace.video_path(name).parent == workspace.path / "videos"
    for leading_out in ("../x.mp4", "/etc/passwd", "a/b.mp4", "..", "", "a\\b.mp4"):
        with pytest.raises(ValueError, match="not a file name"):
            workspace.video_path(leading_out)
    assert workspace.find_image("../../x") is None


def test_looking_at_a_workspace_makes_no_folder(tmp_path):
    Workspace(tmp_path / "none")
    assert not (tmp_path / "none").exists()


# Sums, which the database keeps

KINDS = st.fixed_dictionaries(
    {
        "provider": st.sampled_from(["simulator", "https://x"]),
        "request": st.sampled_from([{}, {"duration": 5}, {"duration": 10}]),
        "usd": st.sampled_from([None, None, 0.5, 0.66, 1e-7]),
        "status": st.sampled_from(["submitting", "queued", "unknown", "completed", "rejected", "error"]),
        "resumed": st.booleans(),
    }
)
CHANGED = st.sampled_from([("usd",), ("status",), ("usd", "status")])
CHANGES = st.lists(st.tuples(st.integers(0, 7), KINDS, CHANGED), max_size=12)


@settings(max_examples=40)
@given(st.lists(KINDS, max_size=8), CHANGES)
def test_the_sums_are_those_of_the_single_expenses_however_they_came_about(sums_ledger, kinds, changes):
    ledger = sums_ledger
    ledger._write(lambda connection: connection.execute(table.delete()))
    for number, kind in enumerate(kinds):
        request_hash = f"{'resumed:' if kind['resumed'] else ''}{number}"
        columns = {name: kind[name] for name in ("provider", "request", "usd", "status")}
        ledger.admit(row(number, request_hash=request_hash, created=float(number), **columns))
    for number, kind, columns in changes:
        if number < len(kinds):
            ledger.update(f"kw-{number}", **{name: kind[name] for name in columns})
    for provider in ("simulator", "https://x"):
        kept, single = ledger.sums(provider), Sums.of(ledger.expenses(provider))
        assert kept.charged == pytest.approx(single.charged, abs=1e-9)
        assert dict(kept.waiting) == dict(single.waiting)
        assert {length: list(usd) for length, usd in kept.latest.items() if usd} == dict(single.latest)


@pytest.fixture(params=["file", "postgres"], scope="module")
def sums_ledger(request, tmp_path_factory):
    """One ledger for all examples of a property."""
    database = None
    if request.param == "postgres":
        server = request.getfixturevalue("postgres_server")
        database = Database(server.url(server.new_database()))
    made = Ledger(place_of(database, tmp_path_factory.mktemp("sums")))
    yield made
    made.close()


def test_a_budget_reads_no_more_of_a_long_ledger_than_of_a_short_one(tmp_path):
    """What SQLite says it does: no scan of a table or index, only searches, and nothing of the table itself."""
    ledger = Ledger(tmp_path / "ledger.sqlite")
    asked = []

    def explain(connection, cursor, statement, parameters, context, many):
        if statement.startswith("SELECT") and "generations" in statement:
            plan = cursor.execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()
            asked.extend(line for *_, line in plan if "generations" in line)

    sa.event.listen(ledger._engine, "before_cursor_execute", explain)
    ledger.sums("simulator")
    assert len(asked) == 3, asked
    assert all(line.startswith("SEARCH generations USING") for line in asked), asked
    assert "COVERING INDEX ix_generations_waiting (provider=? AND status=?)" in asked[0]
    assert all("INDEX ix_generations_charged (provider=? AND duration=?)" in line for line in asked[1:])
    asked.clear()
    ledger.durations("simulator", 5)
    assert "INDEX ix_generations_learned (provider=? AND duration=?)" in asked[0]
