"""The ledger on a real PostgreSQL server: several processes, a server that goes away, a password nobody sees."""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import socket
import subprocess
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

import kling_widget as kw
from kling_widget import InvalidRequestError, KlingError, ledger_server, ledger_transactions, pending
from kling_widget.databases import Database
from kling_widget.entries import source_of
from kling_widget.ledger import Ledger, Row
from kling_widget.ledger_places import place_of
from kling_widget.ledger_schema import SCHEMA_VERSION, LostConnectionError
from kling_widget.studios import studio_for
from kling_widget.workspace import Workspace
from tests.integration.conftest import KEY, submissions
from tests.integration.simulator_fixtures import picture
from tests.integration.test_money import eventually

LIMIT = 60.0  # seconds; what nothing here takes


def row(number=1, **changes):
    return Row(**{"client_request_id": f"kw-{number}", "provider": "simulator", "request_hash": "a" * 64, **changes})


@pytest.fixture
def open_ledger(postgres_url, tmp_path):
    """Opens the test's ledger once more, as another process would."""
    ledgers = []

    def open_ledger():
        ledgers.append(Ledger(place_of(Database(postgres_url), tmp_path)))
        return ledgers[-1]

    yield open_ledger
    for each in ledgers:
        each.close()


def asked(url: str, query: str) -> list[tuple]:
    """What the database itself says."""
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        answer = connection.execute(query)
        return answer.fetchall() if answer.description else []


# Several processes

PROCESS = """
import os, pathlib, sys
from kling_widget.databases import Database
from kling_widget.entries import source_of
from kling_widget.ledger import Ledger, Row
from kling_widget.ledger_places import place_of
sys.stdin.readline()  # all at once
ledger = Ledger(place_of(Database(os.environ["KLING_WIDGET_DATABASE"]), pathlib.Path(sys.argv[1])))
ours = 0
for number in range(int(sys.argv[2])):
    ours += ledger.admit(Row(f"kw-{os.getpid()}-{number}", "simulator", f"request {number}"))[1]
print(ours)
"""


def at_once(url, folder, processes, rows):
    """What so many processes print that admit the same rows at once, on a database that had nothing in it."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, folder, str(rows)],
            env={**os.environ, "KLING_WIDGET_DATABASE": url},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for _ in range(processes)
    ]  # fmt: skip
    for process in started:
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate(timeout=LIMIT) for process in started]
    assert [process.returncode for process in started] == [0] * processes, said
    return [int(out) for out, _ in said]


def test_processes_that_start_at_once_on_an_empty_database_make_one_ledger_and_one_row_each(postgres_url, tmp_path):
    ours = at_once(postgres_url, tmp_path, processes=4, rows=40)
    assert sum(ours) == 40
    assert asked(postgres_url, "SELECT count(*), count(DISTINCT request_hash) FROM generations") == [(40, 40)]
    assert asked(postgres_url, "SELECT * FROM kling_widget_schema") == [(SCHEMA_VERSION,)]


def test_of_many_threads_with_a_budget_as_many_pass_as_it_allows(open_ledger):
    ledgers = [open_ledger() for _ in range(4)]
    start = threading.Barrier(16, timeout=LIMIT)

    class FullError(Exception):
        pass

    def check(sums):
        if sums.waiting.get(5, 0) >= 5:
            raise FullError

    def admit(number):
        start.wait()
        try:
            return ledgers[number % 4].admit(row(number, request_hash=str(number)), check=check)[1]
        except FullError:
            return False

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(admit, range(16))).count(True) == 5
    assert len(ledgers[0].rows()) == 5


def test_a_row_without_a_budget_waits_while_one_is_checked(open_ledger, postgres_url):
    with_a_budget, without = open_ledger(), open_ledger()
    checking, go_on = threading.Event(), threading.Event()

    def check(_sums):
        checking.set()
        assert go_on.wait(LIMIT)

    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory' AND datname = current_database()"
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(with_a_budget.admit, row(1, request_hash="1"), check=check)
        assert checking.wait(LIMIT)
        second = pool.submit(without.admit, row(2, request_hash="2"))
        eventually(lambda: asked(postgres_url, waiting) == [(1,)])
        assert not second.done()
        go_on.set()
        assert [each.result(LIMIT)[1] for each in (first, second)] == [True, True]


# A server that goes away


class Relay:
    """Stands between us and the server. `cut` says when the next connection that commits, or changes a row, ends."""

    def __init__(self, port: int) -> None:
        self.cut: str | None = None  # "before" the server hears of the commit, or "after" it has committed
        self._server = port
        self._deaf: set[socket.socket] = set()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                ours, _ = self._listening.accept()
                server = socket.create_connection(("127.0.0.1", self._server))
                threading.Thread(target=self._pass_on, args=(ours, server, self._heard), daemon=True).start()
                threading.Thread(target=self._pass_on, args=(server, ours, self._said), daemon=True).start()

    def _heard(self, ours: socket.socket, data: bytes) -> bool:
        commits = any(word in data for word in (b"COMMIT", b"INSERT", b"UPDATE"))  # a single statement commits itself
        cut, self.cut = (self.cut, None) if commits else (None, self.cut)
        if cut == "after":
            self._deaf.add(ours)
        return cut != "before"

    def _said(self, server: socket.socket, data: bytes) -> bool:
        self._deaf, deaf = set(), bool(self._deaf)  # only the connection that committed speaks in this moment
        return not deaf

    @staticmethod
    def _pass_on(source, target, may_pass) -> None:
        with contextlib.suppress(OSError):
            while (data := source.recv(65536)) and may_pass(source, data):
                target.sendall(data)
        for each in (source, target):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Take nobody any more."""
        self._listening.close()


@pytest.fixture
def relayed(postgres_server, postgres_url, tmp_path):
    """A ledger, and the relay it reaches its server through."""
    relay = Relay(postgres_server.port)
    url = postgres_url.replace(f":{postgres_server.port}/", f":{relay.port}/")
    ledger = Ledger(place_of(Database(url), tmp_path))
    yield ledger, relay
    ledger.close()
    relay.close()


CUTS = pytest.mark.parametrize("cut", ["before", "after"])


@CUTS
@pytest.mark.parametrize("new_take", [False, True])
def test_a_row_whose_commit_nobody_heard_of_is_there_once_and_ours(relayed, cut, new_take):
    ledger, relay = relayed
    relay.cut = cut
    written, ours = ledger.admit(row(), new_take=new_take)
    assert relay.cut is None, "nothing was cut"
    assert (written.client_request_id, written.take, ours) == ("kw-1", 1, True)
    assert [(each.client_request_id, each.take) for each in ledger.rows()] == [("kw-1", 1)]
    held, ours = ledger.admit(row(2))
    assert (held.client_request_id, ours) == ("kw-1", False)


@CUTS
def test_a_change_whose_commit_nobody_heard_of_is_made_once(relayed, cut):
    ledger, relay = relayed
    ledger.admit(row(lease_owner="us", lease_until=1.0))
    relay.cut = cut
    assert ledger.update("kw-1", owner="us", status="queued", generation_id="g1").generation_id == "g1"
    assert relay.cut is None
    relay.cut = cut
    assert ledger.claim(ledger.get("kw-1"), "us", 2.0, stale=False)
    assert relay.cut is None
    relay.cut = cut
    assert ledger.settle("kw-1", status="queued", generation_id="g2").generation_id == "g1"
    assert relay.cut is None
    ledger.admit(row(2, take=2))
    relay.cut = cut
    assert ledger.settle("kw-2", status="queued", generation_id="g2").generation_id == "g2"
    assert relay.cut is None


@CUTS
def test_a_row_of_which_nobody_can_say_whether_it_is_there_is_not_submitted(relayed, cut, monkeypatch):
    monkeypatch.setattr(ledger_transactions, "PATIENCE", 0.5)
    ledger, relay = relayed
    relay.cut = cut
    relay.close()  # and nobody gets in again
    with pytest.raises(LostConnectionError, match=r"Nothing was submitted\. Run it again when the database answers\."):
        ledger.admit(row())


def test_a_server_that_was_restarted_is_waited_for(postgres_server, open_ledger):
    ledger = open_ledger()
    ledger.admit(row())
    postgres_server.stop()
    with ThreadPoolExecutor(2) as pool:
        read = pool.submit(ledger.get, "kw-1")
        written = pool.submit(ledger.update, "kw-1", status="queued")
        postgres_server.start()
        assert read.result(LIMIT).client_request_id == "kw-1"
        assert written.result(LIMIT).status == "queued"


def test_a_generation_under_way_outlives_a_restart_of_the_server(postgres_server, postgres_url, serve, tmp_path):
    vendor = serve(time_factor=60)
    studio = kw.Studio(api_key=KEY, base_url=vendor.url, workspace=tmp_path, database=postgres_url)
    generation = studio.submit(picture((320, 320)), "a quiet harbour")
    end = time.monotonic() + LIMIT
    while generation.id is None:
        assert time.monotonic() < end
        time.sleep(0.01)
    postgres_server.stop()
    postgres_server.start()  # within the ledger's patience, whatever it was about to read or write meanwhile
    assert generation.wait(LIMIT).path.exists()
    assert len(submissions(vendor)) == 1


def test_a_widget_says_that_its_database_cannot_be_reached(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and not listening
        database = f"postgresql+psycopg://me:geheim@127.0.0.1:{taken.getsockname()[1]}/clips"
        widget = kw.KlingWidget(workspace=tmp_path, database=database, simulate=True)
        end = time.monotonic() + LIMIT
        while not widget.problems:
            assert time.monotonic() < end
            time.sleep(0.01)
    [problem] = widget.problems
    assert problem["field"] == "form"
    assert "database postgresql+psycopg://me@127.0.0.1" in problem["text"]
    assert "geheim" not in problem["text"]
    widget.close()


def test_connections_the_server_closed_are_not_used(postgres_server, postgres_url, open_ledger):
    ledger = open_ledger()
    ledger.admit(row())
    asked(
        postgres_url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'kling_widget'"
    )
    assert ledger.admit(row(2, take=2))[1]


def test_a_server_that_is_not_there_is_one_sentence_at_once(tmp_path, postgres_server):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and not listening
        database = Database(f"postgresql+psycopg://me:geheim@127.0.0.1:{taken.getsockname()[1]}/clips")
        with pytest.raises(KlingError) as caught:
            Workspace(tmp_path, database).ledger  # noqa: B018
    said = str(caught.value)
    assert "database postgresql+psycopg://me@127.0.0.1" in said
    assert "cannot be reached" in said
    assert "Nothing was submitted." in said


# What is kept there


HOSTILE = "\0 \ud800 \U0001f600 '; DROP TABLE generations; -- \\ \\u0000 %s {} é\u202e"


def test_whatever_anybody_writes_is_kept_and_found(open_ledger):
    ledger = open_ledger()
    request = {"prompt": HOSTILE, "cfg_scale": 0.1 + 0.2, "camera": {"zoom": -1e-300}}
    ledger.admit(row(request=request, pictures={"image_url": {"name": HOSTILE, "sha256": None, "url": None}}))
    assert ledger.asked("simulator").prompts == {HOSTILE}
    said = HOSTILE.replace("\ud800", "")
    changed = ledger.update("kw-1", status="error", error_name="x" * 500, error_message=said, vendor_status=said)
    assert changed.request == request
    assert changed.pictures["image_url"]["name"] == HOSTILE
    assert changed.error_message == changed.vendor_status == said.replace("\0", "␀")
    assert changed.error_name == "x" * 500
    assert open_ledger().get("kw-1") == changed


@pytest.mark.parametrize("until", [0.1 + 0.2, 1_763_000_000.123456789, 5e-324, 1e308, 1.0])
def test_times_and_amounts_come_back_exactly_and_are_found_by_equality(open_ledger, until):
    ledger = open_ledger()
    ledger.admit(row(lease_owner="elsewhere/1/x", lease_until=until, usd=until, created=until))
    seen = open_ledger().get("kw-1")
    assert (seen.lease_until, seen.usd, seen.created) == (until, until, until)
    assert ledger.claim(seen, "here/2/y", 7.0, stale=True)
    assert not ledger.claim(seen, "here/3/z", 8.0, stale=True)


# Versions


def test_a_newer_ledger_is_refused_with_the_way_out(open_ledger, postgres_url):
    open_ledger()
    asked(postgres_url, "UPDATE kling_widget_schema SET version = version + 1")
    with pytest.raises(KlingError, match=r"newer kling_widget.*Nothing was submitted.*pip install -U"):
        open_ledger()


def next_version(monkeypatch, *statements):
    monkeypatch.setattr(ledger_server, "SCHEMA_VERSION", SCHEMA_VERSION + 1)
    monkeypatch.setattr(ledger_server, "MIGRATIONS", (*ledger_server.MIGRATIONS, statements))


def test_an_older_ledger_is_brought_up_to_date_and_keeps_its_rows(open_ledger, postgres_url, monkeypatch):
    open_ledger().admit(row())
    next_version(monkeypatch, "ALTER TABLE generations ADD COLUMN mood TEXT", "UPDATE generations SET mood = 'calm'")
    assert open_ledger().get("kw-1") == open_ledger().get("kw-1")
    assert asked(postgres_url, "SELECT mood FROM generations") == [("calm",)]
    assert asked(postgres_url, "SELECT * FROM kling_widget_schema") == [(SCHEMA_VERSION + 1,)]


def test_a_migration_that_fails_half_way_changes_nothing(open_ledger, postgres_url, monkeypatch):
    open_ledger().admit(row())
    next_version(monkeypatch, "ALTER TABLE generations ADD COLUMN mood TEXT", "ALTER TABLE nowhere ADD COLUMN x TEXT")
    with pytest.raises(KlingError, match=r'relation "nowhere" does not exist'):
        open_ledger()
    columns = asked(postgres_url, "SELECT column_name FROM information_schema.columns WHERE column_name = 'mood'")
    assert columns == []


def test_somebody_else_s_database_is_left_alone(open_ledger, postgres_url):
    asked(postgres_url, "CREATE TABLE generations (grandmother TEXT)")
    with pytest.raises(KlingError, match="a table 'generations' that is no ledger's"):
        open_ledger()
    assert asked(postgres_url, "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'") == [(1,)]


def test_a_new_database_takes_in_what_the_workspace_has(open_ledger, tmp_path):
    pending.write(tmp_path, row(generation_id="g1", status="queued", usd=0.5))
    ledger = open_ledger()
    assert ledger.by_generation_id("g1", "simulator").client_request_id == "kw-1"
    assert ledger.sums("simulator").charged == 0.5
    pending.write(tmp_path, row(2))
    assert open_ledger().get("kw-2") is None, "only while it is made"


# The password


def everything_said(error: BaseException) -> str:
    """An error as the most talkative traceback shows it: with the local variables of every frame but the test's own."""
    frames = error.with_traceback(error.__traceback__.tb_next)
    return "".join(traceback.TracebackException.from_exception(frames, capture_locals=True).format())


@pytest.fixture
def everything_logged(caplog):
    caplog.set_level(logging.DEBUG)
    for name in ("sqlalchemy", "psycopg", "kling_widget"):
        caplog.set_level(logging.DEBUG, logger=name)
    return caplog


def wrong_password(server, url):
    return url, "password authentication failed"


def no_such_database(server, url):
    return server.url("nowhere"), 'database "nowhere" does not exist'


@pytest.mark.parametrize("given", ["argument", "environment"])
@pytest.mark.parametrize("trouble", [wrong_password, no_such_database], ids=lambda each: each.__name__)
def test_no_error_shows_the_password(
    postgres_server, postgres_url, tmp_path, monkeypatch, everything_logged, trouble, given
):
    secret = postgres_server.password
    url, said = trouble(postgres_server, postgres_url)
    if trouble is wrong_password:
        secret = "geheim%40wort"
        url = url.replace(postgres_server.password, secret)
    if given == "environment":
        monkeypatch.setenv("KLING_WIDGET_DATABASE", url)
    with pytest.raises(KlingError, match=said) as caught:
        kw.generations(workspace=tmp_path, simulate=True, database=url if given == "argument" else None)
    for word in (secret, secret.replace("%40", "@")):
        assert word not in everything_said(caught.value)
        assert word not in everything_logged.text


@pytest.mark.parametrize(
    "url",
    [
        "geheim", "postgresql+psycopg//me:geheim@host/db", "mysql://me:geheim@host/db", "oracle+geheim://x",
        "postgresql+psycopg://me:geheim@host:geheim/db", "sqlite:///geheim.sqlite", "sqlite://",
    ],
)  # fmt: skip
def test_what_is_no_database_of_ours_is_refused_in_a_sentence(tmp_path, url):
    with pytest.raises(InvalidRequestError, match=r"postgresql\+psycopg://user:password@host/database") as caught:
        Workspace(tmp_path, url)
    assert "me:geheim" not in everything_said(caught.value)


def test_nothing_shows_the_password(postgres_server, postgres_url, tmp_path, everything_logged):
    widget = kw.KlingWidget(workspace=tmp_path / "clips", database=postgres_url, simulate=True)
    studio = studio_for(workspace=tmp_path / "clips", database=postgres_url, simulate=True)
    assert studio is widget._studio
    assert studio is not studio_for(workspace=tmp_path / "clips", simulate=True)
    generation = studio.submit(picture((320, 320)), "a quiet harbour")
    generation.wait(LIMIT)
    rows = asked(postgres_url, "SELECT generations::text FROM generations")
    assert len(rows) == 1
    shown = [
        repr(studio), repr(studio.workspace), repr(studio.workspace.database), str(studio.workspace.database),
        repr(studio.workspace.ledger), repr(vars(studio)), repr(vars(studio.workspace)), repr(vars(widget._studio)),
        repr(widget.get_state()), source_of(generation, widget._settings), repr(rows), everything_logged.text,
        repr(studio.workspace.ledger._engine), repr(studio.workspace.ledger._engine.url), repr(generation),
        *(path.read_text(errors="replace") for path in (tmp_path / "clips").rglob("*") if path.is_file()),
    ]  # fmt: skip
    assert not [each for each in shown if postgres_server.password in each]
    with pytest.raises(TypeError, match="never pickled"):
        pickle.dumps(studio.workspace.database)
    widget.close()


def test_without_the_driver_the_sentence_says_what_to_install(tmp_path, postgres_url):
    code = (
        "import sys; sys.modules['psycopg'] = None\n"
        "import kling_widget as kw\n"
        "try: kw.generations(simulate=True)\nexcept kw.KlingError as error: print(error)"
    )
    environment = {**os.environ, "KLING_WIDGET_DATABASE": postgres_url, "KLING_WIDGET_WORKSPACE": str(tmp_path)}
    said = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert 'pip install "kling-widget[postgres]"' in said.stdout


def test_without_a_database_nothing_of_a_server_is_imported(tmp_path):
    code = (
        "import sys, kling_widget as kw\n"
        "kw.KlingWidget(simulate=True), kw.generations(simulate=True), kw.spending(simulate=True)\n"
        "kw.Studio(simulate=True).workspace.ledger\n"
        "print(*(name for name in sys.modules if 'postgresql' in name or 'psycopg' in name or 'ledger_server' in name))"
    )
    environment = {**os.environ, "KLING_WIDGET_WORKSPACE": str(tmp_path)}
    said = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == ""
