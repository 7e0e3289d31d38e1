"""The ledger as a file: versions, damage, and folders that can't be written. Nothing is ever destroyed."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
import warnings
from contextlib import closing, nullcontext
from pathlib import Path

import pytest

from kling_widget import file_systems, ledger_file, ledger_repair, pending
from kling_widget.errors import KlingError
from kling_widget.ledger import Ledger, Row
from kling_widget.ledger_repair import LedgerWarning
from kling_widget.ledger_schema import SCHEMA_VERSION, table, values_of
from kling_widget.workspace import Workspace
from tests import windows_files

VERSION_0 = """
CREATE TABLE generations (
  client_request_id VARCHAR(128) NOT NULL PRIMARY KEY, provider VARCHAR(255) NOT NULL,
  request_hash VARCHAR(64) NOT NULL, take INTEGER NOT NULL, held_take INTEGER, status VARCHAR(16) NOT NULL,
  generation_id VARCHAR(256), request JSON NOT NULL, pictures JSON NOT NULL, created FLOAT NOT NULL, accepted FLOAT,
  completed FLOAT, saved FLOAT, vendor_status VARCHAR(64), video_url TEXT, video_file TEXT, error_name VARCHAR(200),
  error_message TEXT, credits FLOAT, usd FLOAT, time_factor FLOAT, UNIQUE (provider, request_hash, held_take));
INSERT INTO generations (client_request_id, provider, request_hash, take, held_take, status, generation_id, request,
  pictures, created) VALUES ('kw-old', 'simulator', 'abc', 1, 1, 'queued', 'g1', '{"prompt": "p"}', '{}', 5.0);
"""
"""A ledger as the first drafts wrote it."""


def row(number=1, **changes):
    return Row(**{"client_request_id": f"kw-{number}", "provider": "simulator", "request_hash": "a" * 64, **changes})


def old_ledger(path: Path, version: int = 0) -> Path:
    with closing(sqlite3.connect(path)) as plain:
        plain.executescript(VERSION_0)
        plain.execute(f"PRAGMA user_version = {version}")
    return path


def columns_of(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as plain:
        return {name for _, name, *_ in plain.execute("PRAGMA table_info(generations)")}


def indexes_of(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as plain:
        return {name for _, name, *_ in plain.execute("PRAGMA index_list(generations)")}


def told(caught):
    """What the ledger warned of. Python 3.13 warns of an earlier test's connection, too, whenever it is collected."""
    return [str(warning.message) for warning in caught if warning.category is LedgerWarning]


def test_an_older_ledger_is_brought_up_to_date_and_keeps_its_rows(tmp_path):
    path = old_ledger(tmp_path / "ledger.sqlite")
    ledger = Ledger(path)
    assert ledger.get("kw-old") == Row(
        "kw-old", "simulator", "abc", status="queued", generation_id="g1", request={"prompt": "p"}, created=5.0
    )
    assert ledger.admit(row())[1]
    ledger.close()
    Ledger(tmp_path / "new" / "ledger.sqlite").close()
    assert columns_of(path) == columns_of(tmp_path / "new" / "ledger.sqlite")
    assert "ix_generations_learned" in indexes_of(path) & indexes_of(tmp_path / "new" / "ledger.sqlite")
    with closing(sqlite3.connect(path)) as plain:
        assert plain.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)


def described(path: Path) -> set[tuple[str, str]]:
    """Every table, index and trigger; tables only by name, since columns that were added come last in theirs."""
    with closing(sqlite3.connect(path)) as plain:
        found = plain.execute("SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'").fetchall()
    return {(name, "" if kind == "table" else " ".join(str(sql).split())) for kind, name, sql in found}


def test_an_older_ledger_has_the_sums_of_what_was_charged_before(tmp_path):
    path = old_ledger(tmp_path / "ledger.sqlite")
    made = [("completed", "a", 10, 1.2), ("completed", "b", None, 0.5), ("completed", "resumed:e", 5, 7.0)]
    others = [("error", "c", 5, 9.0), ("queued", "d", 5, None)]
    with closing(sqlite3.connect(path)) as plain:
        for number, (status, request_hash, duration, usd) in enumerate([*made, *others]):
            plain.execute(
                "INSERT INTO generations (client_request_id, provider, request_hash, take, status, request, pictures, "
                "created, usd) VALUES (?, 'https://x', ?, 1, ?, ?, '{}', ?, ?)",
                (
                    f"kw-{number}",
                    request_hash,
                    status,
                    json.dumps({"duration": duration}),
                    number,
                    usd,
                ),
            )
        plain.commit()
    ledger = Ledger(path)
    sums = ledger.sums("https://x")
    assert (sums.charged, sums.waiting, sums.latest) == (1.7, {5: 1}, {5: [0.5], 10: [1.2]})
    ledger.update("kw-4", usd=0.4)
    assert ledger.sums("https://x").charged == pytest.approx(2.1)
    ledger.close()
    Ledger(tmp_path / "new" / "ledger.sqlite").close()
    of_version_0 = {f"ix_generations_{column}" for column in ("status", "generation_id", "created")}
    new = {(name, sql) for name, sql in described(tmp_path / "new" / "ledger.sqlite") if name not in of_version_0}
    assert len(new) == 8
    assert described(path) == new


def test_a_migration_that_fails_half_way_changes_nothing(tmp_path, monkeypatch):
    path = old_ledger(tmp_path / "ledger.sqlite")
    first, *others = ledger_file.MIGRATIONS
    monkeypatch.setattr(ledger_file, "MIGRATIONS", ((*first, "ALTER TABLE nowhere ADD COLUMN x"), *others))
    before = columns_of(path)
    with pytest.raises(KlingError, match="no such table"):
        Ledger(path)
    assert columns_of(path) == before


def test_a_newer_ledger_is_refused_with_the_way_out_and_stays_untouched(tmp_path):
    path = old_ledger(tmp_path / "ledger.sqlite", version=SCHEMA_VERSION + 1)
    before = path.read_bytes()
    with pytest.raises(KlingError, match=r"newer kling_widget.*Nothing was submitted.*pip install -U"):
        Ledger(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["ledger.sqlite"]


def garbage(path: Path) -> None:
    path.write_bytes(b"this is no database" * 1000)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def overwritten(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096 : len(data) - 100] = os.urandom(len(data) - 4196)
    path.write_bytes(data)


def another_database(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as plain:
        plain.execute("CREATE TABLE shopping (bread)")
        plain.commit()


DAMAGE = [garbage, empty, truncated, overwritten, another_database]


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda each: each.__name__)
def test_a_damaged_ledger_is_set_aside_whole_and_said_once(tmp_path, damage):
    path = tmp_path / "ledger.sqlite"
    ledger = Ledger(path)
    for number in range(50):
        ledger.admit(row(number, take=number + 1, request={"prompt": "p" * 500}))
    ledger.close()
    damage(path)
    broken = path.read_bytes()
    with pytest.warns(LedgerWarning, match="was damaged") as caught:
        fresh = Ledger(path)
    assert len(told(caught)) == 1
    [kept] = tmp_path.glob("ledger.damaged-*Z.sqlite")
    assert kept.read_bytes() == broken
    assert kept.name in told(caught)[0]
    assert fresh.admit(row(99))[1]
    fresh.close()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Ledger(path).get("kw-99") is not None  # the new one is whole: no second word


# Damage that opening does not see, since it looks only at both ends

PAGE = 4096  # bytes; SQLite's


def ledger_of(path: Path, rows: int) -> None:
    """A ledger with so many saved generations, some 300 bytes each."""
    ledger = Ledger(path)

    def fill(connection):
        made = [row(number, request_hash=f"{number:064x}", created=float(number)) for number in range(rows)]
        connection.execute(table.insert(), [{**values_of(each), "held_take": 1} for each in made])

    ledger._write(fill)
    ledger.close()


def spoil(path: Path, page: int) -> bytes:
    """Overwrite a page; what is in the file then."""
    data = bytearray(path.read_bytes())
    data[page * PAGE : (page + 1) * PAGE] = os.urandom(PAGE)
    path.write_bytes(data)
    return bytes(data)


def middle_of(path: Path, index: str = "") -> int:
    """A page in the middle of the table or of an index, of which opening sees only the ends."""
    with closing(sqlite3.connect(path)) as plain:
        pages = plain.execute("SELECT pageno FROM dbstat WHERE name = ? AND pagetype = 'leaf' ORDER BY path", [index])
        numbers = [number for (number,) in pages]
    assert len(numbers) > 4
    return numbers[len(numbers) // 2] - 1


def use(path: Path) -> None:
    """What a process does that opens a ledger."""
    ledger = Ledger(path)
    ledger.look_through()
    assert ledger.admit(row(1))[1]
    ledger.close()


def test_whichever_page_is_damaged_it_is_noticed_and_the_file_kept_as_it_was(tmp_path):
    ledger_of(tmp_path / "whole.sqlite", 400)
    pages = (tmp_path / "whole.sqlite").stat().st_size // PAGE
    assert pages > 40
    for page in range(1, pages):
        folder = tmp_path / f"{page}"
        folder.mkdir()
        path = folder / "ledger.sqlite"
        shutil.copy(tmp_path / "whole.sqlite", path)
        broken = spoil(path, page)
        with pytest.warns(LedgerWarning, match="was damaged") as caught:
            use(path)
        assert len(told(caught)) == 1
        [kept] = folder.glob("ledger.damaged-*.sqlite")
        assert kept.read_bytes() == broken


@pytest.fixture(params=[nullcontext, windows_files.refused], ids=["linux", "as on windows"])
def files(request):
    with request.param():
        yield


@pytest.mark.usefixtures("files")
def test_a_damaged_page_that_is_touched_submits_nothing_and_is_not_written_over(tmp_path):
    path = tmp_path / "ledger.sqlite"
    ledger_of(path, 2000)
    broken = spoil(path, middle_of(path, "sqlite_autoindex_generations_2"))  # provider, request_hash, held_take
    pending.write(tmp_path, row(1000, request_hash=f"{1000:064x}", status="queued", generation_id="g1000"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ledger = Ledger(path)
        assert ledger.holder("simulator", f"{1:064x}", 1).client_request_id == "kw-1", "whole parts are of use"
    with pytest.warns(LedgerWarning, match="1 generation found"):
        held, ours = ledger.admit(row(9999, request_hash=f"{1000:064x}"))
    assert (held.client_request_id, held.generation_id, ours) == ("kw-1000", "g1000", False)
    [kept] = tmp_path.glob("ledger.damaged-*.sqlite")
    assert kept.read_bytes() == broken


def test_what_reads_a_damaged_page_gets_the_rebuilt_ledger(tmp_path):
    path = tmp_path / "ledger.sqlite"
    ledger_of(path, 2000)
    spoil(path, middle_of(path, "generations"))
    pending.write(tmp_path, row(7, status="queued", generation_id="g7"))
    ledger, other = Ledger(path), Ledger(path)
    with pytest.warns(LedgerWarning) as caught:
        found = ledger.rows(), other.rows()
    assert [[each.client_request_id for each in rows] for rows in found] == [["kw-7"], ["kw-7"]]
    assert len(told(caught)) == 1


def test_a_workspace_looks_at_all_of_its_ledger_beside_the_first_use(tmp_path):
    path = tmp_path / "ledger.sqlite"
    ledger_of(path, 2000)
    spoil(path, middle_of(path, "generations"))
    pending.write(tmp_path, row(7, status="queued", generation_id="g7"))
    workspace = Workspace(tmp_path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        held = workspace.ledger.holder("simulator", f"{1:064x}", 1)
        assert caught or held is not None  # the damaged one's answer, or that of the new one, which doesn't know it
        end = time.monotonic() + 60
        while not caught:
            assert time.monotonic() < end, "nobody looked"
            time.sleep(0.01)
    assert "1 generation found" in told(caught)[0]
    assert len(workspace.ledger.rows()) == 1


def test_nobody_hears_of_a_ledger_that_is_set_aside_in_that_moment(tmp_path, monkeypatch):
    path = tmp_path / "ledger.sqlite"
    ledger_of(path, 2000)
    spoil(path, middle_of(path, "generations"))
    pending.write(tmp_path, row(7, status="queued", generation_id="g7"))
    reader, half_way = Ledger(path), threading.Event()
    rename = os.rename

    def rename_slowly(source, target):
        rename(source, target)
        if not half_way.is_set():  # the log is gone, the file is still there
            half_way.set()
            time.sleep(0.2)  # time enough for a few looks

    monkeypatch.setattr(os, "rename", rename_slowly)

    def look():
        with pytest.warns(LedgerWarning):
            Ledger(path).look_through()

    with closing(sqlite3.connect(path)) as other:  # keeps -wal and -shm there
        other.execute("SELECT 1 FROM generations LIMIT 1").fetchall()
        other.execute("BEGIN")
        repairs = threading.Thread(target=look)
        repairs.start()
        assert half_way.wait(60)
        while repairs.is_alive():
            reader._engine.dispose()
            reader.get("kw-7")
        repairs.join()
    assert reader.get("kw-7").generation_id == "g7"


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="nobody counts what is read")
def test_opening_reads_as_much_of_a_long_ledger_as_of_a_short_one(tmp_path):
    def bytes_read() -> int:
        return int(dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())["rchar"])

    opened = []
    for rows in (300, 6000):
        path = tmp_path / f"{rows}" / "ledger.sqlite"
        ledger_of(path, rows)
        before = bytes_read()
        Ledger(path).close()
        opened.append(bytes_read() - before)
    assert path.stat().st_size > 2_000_000
    assert opened[1] < opened[0] + 30 * PAGE, opened  # a level more in each tree


def test_a_second_damage_in_the_same_second_overwrites_nothing(tmp_path):
    path = tmp_path / "ledger.sqlite"
    for number in range(3):
        path.write_bytes(b"damage %d" % number * 100)
        with pytest.warns(LedgerWarning):
            Ledger(path).close()
    kept = sorted(each.read_bytes()[:8] for each in tmp_path.glob("ledger.damaged-*.sqlite"))
    assert kept == [b"damage 0", b"damage 1", b"damage 2"]


def test_two_kernels_that_find_the_damage_at_once_set_aside_one_file(tmp_path):
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(b"damage" * 1000)
    script = "import sys, pathlib, kling_widget.ledger as l; l.Ledger(pathlib.Path(sys.argv[1])).rows()"
    kernels = [
        subprocess.Popen([sys.executable, "-c", script, path], stderr=subprocess.PIPE, text=True) for _ in range(4)
    ]
    said = [kernel.communicate(timeout=60)[1] for kernel in kernels]
    assert [kernel.returncode for kernel in kernels] == [0] * 4, said
    assert len(list(tmp_path.glob("ledger.damaged-*.sqlite"))) == 1
    assert sum("was damaged" in each for each in said) == 1


def test_a_ledger_that_another_kernel_makes_just_after_we_found_none_is_no_error(tmp_path, monkeypatch):
    path, made = tmp_path / "ledger.sqlite", []

    def with_company(look):
        def looks(at):
            try:
                return look(at)
            finally:
                if not made and not path.exists():
                    made.append(path)
                    Ledger(path).admit(row(1))

        return looks

    for look in ("check", "identity"):  # whichever is the first
        monkeypatch.setattr(ledger_repair, look, with_company(getattr(ledger_repair, look)))
    ours = Ledger(path)
    assert made
    assert ours.get("kw-1") is not None


def test_a_kernel_whose_ledger_was_set_aside_goes_on_with_the_new_one(tmp_path):
    path = tmp_path / "ledger.sqlite"
    ours = Ledger(path)
    ours.admit(row(1))
    path.rename(tmp_path / "away.sqlite")
    theirs = Ledger(path)
    theirs.admit(row(2))
    assert ours.get("kw-2") is not None
    assert ours.admit(row(3, take=3))[1]
    assert theirs.get("kw-3") is not None


def test_a_left_over_wal_of_another_ledger_is_not_taken_for_ours(tmp_path):
    path = tmp_path / "ledger.sqlite"
    old = Ledger(path)
    old.admit(row(1))
    shutil.copy(f"{path}-wal", tmp_path / "wal")
    old.close()
    path.unlink()
    shutil.copy(tmp_path / "wal", f"{path}-wal")
    fresh = Ledger(path)
    assert fresh.rows() == []
    assert fresh.admit(row(2))[1]
    fresh.close()
    with closing(sqlite3.connect(path)) as plain:
        assert plain.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_ledger_that_another_program_holds_is_one_sentence_and_not_damage(tmp_path, monkeypatch):
    monkeypatch.setattr(ledger_file, "BUSY_TIMEOUT", 0.2)
    path = tmp_path / "ledger.sqlite"
    ledger = Ledger(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        with pytest.raises(KlingError, match=r"another program holds it\. Nothing was submitted\."):
            ledger.admit(row())
    assert not list(tmp_path.glob("*damaged*"))
    assert ledger.admit(row())[1]


WRITE = """
import os, pathlib, sys
from kling_widget.ledger import Ledger, Row
from kling_widget.errors import KlingError
exec(sys.argv[2])
try:
    ledger = Ledger(pathlib.Path(sys.argv[1]))
    for number in range(2000):
        ledger.admit(Row(f"kw-{number}", "simulator", "a", take=number + 1, request={"prompt": "p" * 2000}))
    print("written")
except KlingError as error:
    print(error)
"""


def written(path: Path, before: str) -> str:
    """What a process says that writes to the ledger until it can't any more."""
    done = subprocess.run([sys.executable, "-c", WRITE, path, before], capture_output=True, text=True, timeout=120)
    assert done.stderr == ""
    return done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="no file size limits on Windows")
def test_a_file_that_may_not_grow_is_one_sentence_and_what_is_written_stays(tmp_path):
    path = tmp_path / "ledger.sqlite"
    limit = "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); " + (
        "resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, 600_000))"
    )
    assert "cannot be used" in (said := written(path, limit))
    assert "Nothing was submitted." in said
    assert said.count("\n") == 1
    assert len(Ledger(path).rows()) > 10
    assert not list(tmp_path.glob("*damaged*"))


def small_disk(folder: Path, options: str) -> bool:
    folder.mkdir()
    return subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True).returncode == 0


@pytest.fixture
def disk(tmp_path):
    """A disk of 600 KB, where we may make one."""
    folder = tmp_path / "disk"
    if shutil.which("mount") is None or not small_disk(folder, "size=600k"):
        pytest.skip("may not mount")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_is_one_sentence_and_what_is_written_stays(disk):
    said = written(disk / "ledger.sqlite", "pass")
    assert "the disk is full. Nothing was submitted. Make room" in said
    ledger = Ledger(disk / "ledger.sqlite")
    assert len(ledger.rows()) > 10
    ledger.close()
    assert not list(disk.glob("*damaged*"))


def fill(path: Path) -> None:
    """Take all the room there is."""
    with contextlib.suppress(OSError), open(path, "wb", buffering=0) as filler:
        while filler.write(bytes(4096)):
            pass


def test_the_id_of_what_was_submitted_is_kept_on_a_full_disk(disk):
    page = 4096  # bytes; what a disk gives out at once: the record ends just before a page does
    bare = len(json.dumps(row(1, request={"prompt": ""}).record()))
    pending.write(disk, row(1, request={"prompt": "p" * ((page - bare - 20) // 2)}))  # a record says it twice
    fill(disk / "filler")
    with pytest.raises(OSError, match="No space"):
        pending.write(disk, row(2))
    pending.note_id(disk, "kw-1", "g" * 256)
    assert pending.noted_id(disk, "kw-1") == "g" * 256
    [kept] = pending.rows(disk)
    assert (kept.client_request_id, kept.status) == ("kw-1", "queued")


def test_a_read_only_folder_is_one_sentence(disk):
    ledger = Ledger(disk / "ledger.sqlite")
    ledger.admit(row())
    ledger.close()
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    said = written(disk / "ledger.sqlite", "pass")
    assert said.startswith("The ledger ")
    assert "Nothing was submitted." in said
    said = written(disk / "none" / "ledger.sqlite", "pass")
    assert "read-only" in said.lower()
    assert "Nothing was submitted." in said


@pytest.mark.parametrize("name", ["a ? b", "50%25 #1", "é ü", "x;y&z=1"])
def test_any_folder_name_will_do(tmp_path, name):
    folder = tmp_path / name
    ledger = Ledger(folder / "ledger.sqlite")
    ledger.admit(row())
    ledger.close()
    assert Ledger(folder / "ledger.sqlite").get("kw-1") is not None
    assert os.listdir(tmp_path) == [name]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_process_writes_through_connections_of_its_own(tmp_path):
    path = tmp_path / "ledger.sqlite"
    script = (
        "import os, sys, pathlib\nfrom kling_widget.ledger import Ledger, Row\n"
        "ledger = Ledger(pathlib.Path(sys.argv[1])); ledger.admit(Row('kw-1', 's', 'a'))\n"
        "child = os.fork()\n"
        "for n in range(50): ledger.admit(Row(f'kw-{n}-{bool(child)}', 's', f'{n}{bool(child)}'))\n"
        "if child: assert os.waitpid(child, 0)[1] == 0\nelse: os._exit(0)\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", script, path], check=True, timeout=60)
    assert len(Ledger(path).rows()) == 101
    with closing(sqlite3.connect(path)) as plain:
        assert plain.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_what_a_forked_process_writes_stays_when_its_parent_closes_the_ledger(tmp_path):
    """SQLite counts locks by process, and a child has its parent's count without its parent's locks."""
    path = tmp_path / "ledger.sqlite"
    script = (
        "import os, sys, pathlib\nfrom kling_widget.ledger import Ledger, Row\n"
        "ledger = Ledger(pathlib.Path(sys.argv[1])); ledger.admit(Row('kw-1', 's', 'a'))\n"
        "from_child, to_parent = os.pipe(); from_parent, to_child = os.pipe()\n"
        "child = os.fork()\n"
        "if child:\n"
        "    os.read(from_child, 1); ledger.close(); os.write(to_child, b'x')\n"
        "    assert os.waitpid(child, 0)[1] == 0\n"
        "else:\n"
        "    ledger.admit(Row('kw-2', 's', 'b')); os.write(to_parent, b'x'); os.read(from_parent, 1)\n"
        "    ledger.admit(Row('kw-3', 's', 'c')); os._exit(0)\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", script, path], check=True, timeout=60)
    assert {row.client_request_id for row in Ledger(path).rows()} == {"kw-1", "kw-2", "kw-3"}


# Where the ledger may lie


def test_a_ledger_may_be_another_file_than_the_workspace_s_and_is_rebuilt_from_the_workspace(tmp_path, monkeypatch):
    elsewhere = tmp_path / "disk" / "a ledger.sqlite"
    pending.write(tmp_path / "clips", row(7, status="queued", generation_id="g7"))
    monkeypatch.setenv("KLING_WIDGET_DATABASE", f"sqlite:///{elsewhere}")
    workspace = Workspace(tmp_path / "clips")
    assert workspace.ledger.get("kw-7") is not None
    assert workspace.ledger.admit(row(8, take=8))[1]
    workspace.ledger.close()
    assert Ledger(elsewhere).get("kw-8") is not None
    assert Workspace(tmp_path / "nothing").has_ledger
    assert not Workspace(tmp_path / "nothing", f"sqlite:///{tmp_path}/none.sqlite").has_ledger
    elsewhere.write_bytes(b"damage" * 1000)
    with pytest.warns(LedgerWarning, match="1 generation found"):
        assert Workspace(tmp_path / "clips").ledger.get("kw-7") is not None
    assert os.listdir(tmp_path / "clips") == ["pending"]
    assert len(list(elsewhere.parent.glob("a ledger.damaged-*.sqlite"))) == 1


MOUNTS = """\
overlay / overlay rw,relatime 0 0
drive /content/drive fuse.drive rw,nosuid,nodev,relatime,user_id=0 0 0
/dev/sdb1 /mnt/my\\040disk fuseblk rw 0 0
server:/home /home nfs4 rw 0 0
/dev/sdc1 /home/me/local ext4 rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "kind", "shared"),
    [
        ("/content/drive/MyDrive/kling_videos", "fuse.drive", True),
        ("/content/driver", "overlay", False),
        ("/mnt/my disk/a", "fuseblk", False),
        ("/home/me/a", "nfs4", True),
        ("/home/me/local/a", "ext4", False),
    ],
)
def test_a_cloud_drive_is_known_by_its_mount(monkeypatch, tmp_path, path, kind, shared):
    (tmp_path / "mounts").write_text(MOUNTS)
    monkeypatch.setattr(file_systems, "MOUNTS", tmp_path / "mounts")
    assert (file_systems.file_system(Path(path)), file_systems.is_shared(Path(path))) == (kind, shared)


def test_without_a_list_of_mounts_nothing_is_supposed(monkeypatch, tmp_path):
    monkeypatch.setattr(file_systems, "MOUNTS", tmp_path / "no such file")
    assert not file_systems.is_shared(tmp_path)


def journal_of(path: Path) -> str:
    with closing(sqlite3.connect(path)) as plain:
        return plain.execute("PRAGMA journal_mode").fetchone()[0]


def test_on_a_cloud_drive_a_ledger_is_one_file_and_does_the_same(monkeypatch, tmp_path):
    (tmp_path / "mounts").write_text(f"/ / ext4 rw 0 0\ndrive {tmp_path} fuse.drive rw 0 0\n")
    monkeypatch.setattr(file_systems, "MOUNTS", tmp_path / "mounts")
    path = tmp_path / "MyDrive" / "ledger.sqlite"
    ledger, second = Ledger(path), Ledger(path)
    assert journal_of(path) == "delete"
    assert ledger.admit(row())[1]
    assert not second.admit(row(2))[1]
    second.update("kw-1", status="queued", generation_id="g1")
    assert ledger.get("kw-1").generation_id == "g1"
    assert [each.name for each in path.parent.iterdir()] == ["ledger.sqlite"], "no -wal beside it to be copied apart"


@pytest.fixture
def own_disk(monkeypatch, tmp_path):
    """A folder on a disk of this machine's own, whatever this machine is."""
    (tmp_path / "mounts").write_text("/ / ext4 rw 0 0\n")
    monkeypatch.setattr(file_systems, "MOUNTS", tmp_path / "mounts")
    return tmp_path


def test_where_sqlite_can_have_no_shared_memory_the_ledger_goes_without(own_disk):
    path = own_disk / "ledger.sqlite"
    Path(f"{path}-shm").mkdir()  # so that the shared memory's file cannot be made
    engine = ledger_file.make(path)
    with engine.begin() as connection:
        connection.exec_driver_sql("SELECT * FROM generations")
    engine.dispose()
    assert journal_of(path) == "delete"


def test_on_this_machine_s_own_disk_it_has_a_write_ahead_log(own_disk):
    Ledger(own_disk / "ledger.sqlite").close()
    assert journal_of(own_disk / "ledger.sqlite") == "wal"
