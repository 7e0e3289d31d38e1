"""Workspaces and pictures at addresses: what may be in one, what is imported for it; nothing leads out of it."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import fsspec
import pytest

import kling_widget as kw
from kling_widget import scratch
from kling_widget.addresses import checked_address, explained, is_address
from kling_widget.ledger import Row
from kling_widget.remote_workspace import RemoteWorkspace
from kling_widget.stores import Store
from kling_widget.workspace import Workspace
from kling_widget.workspaces import workspace_at
from tests.integration.simulator_fixtures import picture
from tests.unit.hostile_pictures import BOMBS

SECRET = "wJalrXUtnFEMI"
HOSTILE = ["../../x.mp4", "/etc/passwd", "a/../../b.mp4", "..", "a\\b.mp4", "x\0.mp4", "../videos/x.mp4"]


@pytest.fixture
def database(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'ledger.sqlite'}"


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """A place in memory, and a scratch folder of the test's own."""
    monkeypatch.setenv("KLING_WIDGET_CACHE", str(tmp_path / "cache"))
    return f"memory://{uuid.uuid4().hex}/clips"


def row(**facts: Any) -> Row:
    return Row(**{"client_request_id": "kw-1", "provider": "simulator", "request_hash": "h", **facts})


# What an address may be


@pytest.mark.parametrize(
    ("text", "is_so"),
    [
        *[(text, True) for text in ("s3://bucket/clips", "gs://b", "memory://x", "S3://b", "simplecache::s3://b")],
        *[(text, False) for text in ("clips", "/data/clips", "C:\\clips", "c:/clips", "./a:b", "", None, Path("a"))],
    ],
)
def test_an_address_is_told_from_a_path(text: object, is_so: bool) -> None:
    assert is_address(text) is is_so


@pytest.mark.parametrize(
    "text",
    [
        f"s3://AKIA:{SECRET}@bucket/clips",
        f"s3://AKIA:{SECRET}/slash@bucket/clips",
        f"sftp://me:{SECRET}@host/clips",
        f"az://container/clips?sig={SECRET}",
        f"gs://bucket/clips#{SECRET}",
        f"s3://bucket/clips?X-Amz-Signature={SECRET}",
    ],
)
def test_a_secret_in_an_address_is_refused_and_not_repeated(text: str, database: str) -> None:
    with pytest.raises(kw.KlingError, match="holds a key, a password or a signature") as caught:
        kw.Studio(workspace=text, database=database, simulate=True)
    assert SECRET not in f"{caught.value}{caught.value!r}"
    with pytest.raises(kw.ImageError, match="holds a key") as refused:
        kw.SourceImage.load(text)
    assert SECRET not in f"{refused.value}{refused.value!r}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("s3://", "is not an address of a folder"),
        ("simplecache::s3://bucket/clips", "is not an address of a folder"),
        ("s3://bucket/../clips", "odd signs"),
        ("s3://bucket\\clips", "odd signs"),
        ("s3://bucket/a\nb", "odd signs"),
        ("gopher://bucket/clips", "Nothing that is installed serves gopher://"),
        ("file://somewhere/clips", "with a host is no folder here"),
        (Path("s3://bucket/clips"), "a Path has changed"),
    ],
)
def test_what_is_no_address_is_a_sentence(text: Any, said: str, database: str) -> None:
    with pytest.raises(kw.KlingError, match=said):
        workspace_at(text, database)


def test_a_user_without_a_password_is_no_secret() -> None:
    assert checked_address(" abfs://container@account.dfs.core.windows.net/clips/ ") == (
        "abfs://container@account.dfs.core.windows.net/clips"
    )


def test_without_a_database_the_sentence_gives_both_forms(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(kw.KlingError, match="needs a database") as caught:
        kw.Studio(workspace=address, simulate=True)
    assert "postgresql+psycopg://user:password@host/name" in caught.value.hint
    assert "sqlite:////home/me/clips.sqlite" in caught.value.hint
    monkeypatch.setenv("KLING_WIDGET_DATABASE", "sqlite:////tmp/none.sqlite")
    assert isinstance(workspace_at(address), RemoteWorkspace)


def test_a_file_address_is_a_folder_with_all_that_a_folder_promises(tmp_path: Path) -> None:
    workspace = workspace_at(f"file://{tmp_path}/my%20clips")
    assert type(workspace) is Workspace
    assert workspace.path == tmp_path / "my clips"


# What is imported, and what is not installed


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_nothing_is_imported_for_a_folder(tmp_path: Path) -> None:
    (tmp_path / "cat.png").write_bytes(picture())
    code = f"""
import sys, kling_widget as kw
studio = kw.Studio(workspace={str(tmp_path / "clips")!r}, simulate=True)
studio.submit({str(tmp_path / "cat.png")!r}, "dolly")
studio.generations()
print(*(name for name in ("fsspec", "s3fs", "aiobotocore", "platformdirs") if name in sys.modules))
"""
    assert run(code).strip() == ""


@pytest.mark.parametrize(
    ("missing", "where", "hint"),
    [
        ("fsspec", "s3://b/clips", 'pip install "kling-widget[s3]"'),
        ("fsspec", "gs://b/clips", 'pip install "kling-widget[remote]" and what serves gs://.'),
        ("s3fs", "s3://b/clips", 'pip install "kling-widget[s3]".'),
        ("gcsfs", "gs://b/clips", "install gcsfs to access Google Storage."),
        (
            "platformdirs",
            "memory://b/clips",
            "or name a folder in KLING_WIDGET_CACHE.",
        ),
    ],
)
def test_what_is_not_installed_is_named(missing: str, where: str, hint: str) -> None:
    code = f"""
import sys
sys.modules[{missing!r}] = None
import kling_widget as kw
try:
    kw.Studio(workspace={where!r}, database="sqlite:////tmp/none.sqlite", simulate=True)
except kw.KlingError as error:
    print(error.message, error.hint)
"""
    said = run(code)
    assert "not installed" in said
    assert hint.lower() in said.lower()


# What is put there


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_leads_out_of_the_address(name: str, address: str, database: str) -> None:
    workspace = workspace_at(address, database)
    assert isinstance(workspace, RemoteWorkspace)
    target = workspace.video_target(row(video_file=name))
    assert target.parent == workspace.path / "videos"
    store = workspace.store
    stored = workspace.stored(target)
    assert stored.address == f"{store.address}/videos/{target.name}"
    for act in (store.size, lambda each: store.put(target, each), lambda each: store.get(each, target, 1)):
        with pytest.raises(ValueError, match="not a file of a workspace"):
            act(f"videos/{name}")
    assert workspace.find_image(name) is None


def test_a_hostile_name_in_the_store_is_not_listed(address: str) -> None:
    memory, root = fsspec.core.url_to_fs(address)
    for name in ("a\\b.json", "x\n.json", "good.json"):
        memory.pipe_file(f"{root}/videos/{name}", b"{}")
    store = Store(address)
    assert store.sizes("videos") == {"good.json": 2}
    assert list(store.small_files(["videos/good.json", "videos/none.json"], 1)) == [("videos/good.json", b"{")]


def test_where_files_can_be_renamed_they_get_their_name_when_they_are_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, local = Store(f"local://{tmp_path}/there"), tmp_path / "clip.mp4"
    local.write_bytes(b"x" * 1000)
    seen = []
    put_file = fsspec.get_filesystem_class("local").put_file

    def cut_short(self: Any, path: str, target: str, **options: Any) -> None:
        put_file(self, path, target, **options)
        seen.append(Path(target).name)
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("fsspec.implementations.local.LocalFileSystem.put_file", cut_short)
    with pytest.raises(kw.StoreError, match="cannot be written") as caught:
        store.put(local, "videos/clip.mp4")
    assert caught.value.passing
    assert seen[0].startswith("clip.mp4.")
    assert list((tmp_path / "there" / "videos").iterdir()) == []
    monkeypatch.undo()
    store.put(local, "videos/clip.mp4")
    assert [path.name for path in (tmp_path / "there" / "videos").iterdir()] == ["clip.mp4"]


def test_a_store_that_keeps_only_a_part_is_told(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    local = tmp_path / "clip.mp4"
    local.write_bytes(b"x" * 1000)
    memory = fsspec.get_filesystem_class("memory")
    monkeypatch.setattr(memory, "put_file", lambda self, path, target: self.pipe_file(target, b"x" * 999))
    with pytest.raises(kw.StoreError, match="did not keep all of videos/clip"):
        Store(address).put(local, "videos/clip.mp4")


def test_nothing_is_left_here_of_what_breaks_off_on_the_way(address: str, tmp_path: Path) -> None:
    memory, root = fsspec.core.url_to_fs(address)
    memory.pipe_file(f"{root}/videos/clip.mp4", b"x" * 1000)
    store, target = Store(address), tmp_path / "clip.mp4"
    with pytest.raises(kw.StoreError, match="is too large"):
        store.get("videos/clip.mp4", target, 999)
    assert not store.get("videos/clip.mp4", target, 1000, lambda path: False)
    assert not store.get("videos/none.mp4", target, 1000)
    assert list(tmp_path.glob("*.mp4*")) == []
    assert store.get("videos/clip.mp4", target, 1000)
    assert target.read_bytes() == b"x" * 1000


# Pictures


def test_a_picture_is_bounded_and_checked_like_any_other(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    memory, root = fsspec.core.url_to_fs(address)
    memory.pipe_file(f"{root}/bomb.png", BOMBS["PNG of 10,000 megapixels"]())
    with pytest.raises(kw.ImageError, match=r"bomb\.png is too large to open safely"):
        kw.SourceImage.load(f"{address}/bomb.png")
    memory.pipe_file(f"{root}/large.png", b"x" * 1000)
    monkeypatch.setattr("kling_widget.picture_sources.MAX_SOURCE", 999)
    monkeypatch.setattr(type(memory), "cat_file", None)  # it must not be read
    with pytest.raises(kw.ImageError, match=r"large\.png is too large"):
        kw.SourceImage.load(f"{address}/large.png")


# The scratch folder


def test_what_was_not_used_for_longest_leaves_first(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    for number in range(4):
        path = tmp_path / "videos" / f"{number}.mp4"
        path.write_bytes(b"x" * 100)
        os.utime(path, (number, number))
    scratch.use(tmp_path / "videos" / "0.mp4")
    scratch.trim(tmp_path, 200, lambda path: path.name != "1.mp4")
    assert sorted(path.name for path in (tmp_path / "videos").iterdir()) == ["0.mp4", "1.mp4"]


def test_the_name_of_a_scratch_folder_is_short_and_its_own(address: str) -> None:
    names = {scratch.folder_of(each).name for each in ("s3://b/clips", "s3://b-clips", "s3://B/clips")}
    assert len(names) == 3
    assert all(name.startswith("s3-b-clips-") for name in names)


def test_a_limit_that_is_no_number_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KLING_WIDGET_CACHE_GB", "much")
    with pytest.raises(kw.KlingError, match="not a number of gigabytes: 'much'"):
        scratch.limit()


# Complaints


class NoCredentialsError(Exception):
    """As botocore names it."""


@pytest.mark.parametrize(
    ("error", "said", "passing"),
    [
        (PermissionError("Forbidden"), "access is denied", False),
        (FileNotFoundError("bucket"), "there is no such bucket or folder", False),
        (NoCredentialsError(SECRET), "no credentials for it were found", False),
        (
            OSError(errno.EINVAL, "The region 'eu' is wrong."),
            "it refused what it was asked (The region 'eu' is wrong)",
            False,
        ),
        (OSError(errno.ENOSPC, "No space left on device"), "there is no room left, there or in the cache", True),
        (OSError(errno.EBUSY, "Slow down"), "it cannot be reached now (OSError)", True),
        (TimeoutError(), "it cannot be reached now (TimeoutError)", True),
        (RuntimeError(f"GET https://store/x?sig={SECRET}"), "it cannot be reached now (RuntimeError)", True),
    ],
)
def test_what_file_systems_raise_is_a_sentence(error: Exception, said: str, passing: bool) -> None:
    with pytest.raises(kw.StoreError) as caught, explained("memory://clips", "written"):
        raise error
    assert caught.value.message == f"memory://clips cannot be written: {said}."
    assert caught.value.passing is passing
    assert SECRET not in str(caught.value)


def test_a_scratch_folder_that_cannot_be_written_is_not_told_as_the_store_s_fault(address: str, tmp_path: Path) -> None:
    memory, root = fsspec.core.url_to_fs(address)
    memory.pipe_file(f"{root}/videos/clip.mp4", b"x" * 1000)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(kw.StoreError, match=r"^The scratch folder \S+/file cannot be written: .*KLING_WIDGET_CACHE"):
        Store(address).get("videos/clip.mp4", tmp_path / "file" / "clip.mp4", 1000)
