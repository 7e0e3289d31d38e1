"""Texts, names and pictures that mean no good: nothing of them is markup, leads outside, or fills the memory."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from kling_widget.errors import GenerationFailedError, ImageError
from kling_widget.images import SourceImage
from kling_widget.ledger import Row
from kling_widget.video import Video
from kling_widget.workspace import Workspace

# Names that lead somewhere else

LEADING_OUT = [
    "../../escaped",
    "/tmp/escaped",
    "..",
    "..\\..\\escaped",
    "C:\\escaped",
    "a/../../escaped",
    "escaped\x00.mp4",
    "esc\naped.mp4",
    "\u202egpj.exe",
    "",
]


def row(**facts: object) -> Row:
    return Row(client_request_id="kw-1", provider="https://api.aimlapi.com", request_hash="h").with_(**facts)


def assert_inside(target: Path, workspace: Workspace) -> None:
    assert target.parent == workspace.path / "videos"
    assert os.path.realpath(target).startswith(os.path.realpath(workspace.path) + os.sep)


@pytest.mark.parametrize("name", LEADING_OUT)
def test_no_name_in_the_ledger_leads_out_of_the_workspace(name, tmp_path):
    workspace = Workspace(tmp_path / "clips")
    assert_inside(workspace.video_target(row(video_file=name)), workspace)
    assert_inside(workspace.video_target(row(client_request_id=name)), workspace)
    assert_inside(workspace.video_target(row(generation_id=name, take=3)), workspace)
    hostile = row(request={"prompt": name}, pictures={"image_url": {"name": name, "sha256": name, "url": None}})
    assert_inside(workspace.video_target(hostile), workspace)
    assert workspace.find_image(name) is None
    with pytest.raises(ValueError, match="not a SHA-256"):
        workspace.keep_image(name, ".png", b"x")


@pytest.mark.parametrize("linked", [False, True], ids=["a folder", "a link to a folder"])
def test_a_link_in_the_workspace_to_somewhere_else_is_neither_read_nor_written_through(tmp_path, linked):
    if linked:
        (tmp_path / "disk").mkdir()
        (tmp_path / "clips").symlink_to(tmp_path / "disk")
    workspace, secret = Workspace(tmp_path / "clips"), tmp_path / "secret"
    secret.write_bytes(b"\x89PNG what nobody may see")
    for folder in ("images", "videos"):
        (workspace.path / folder).mkdir(parents=True)
    sha256 = "0" * 64
    (workspace.path / "images" / f"{sha256}.png").symlink_to(secret)
    assert workspace.find_image(sha256) is None
    for name in ("clip.mp4", workspace.name_video(row())):
        (workspace.path / "videos" / name).symlink_to(secret)
        target = workspace.video_target(row(video_file=name))
        assert_inside(target, workspace)
        assert not target.exists()
    video = workspace.path / "videos" / "other.mp4"
    (workspace.path / "videos" / "other.json.part").symlink_to(secret)
    (workspace.path / "videos" / "other.json").symlink_to(secret)
    workspace.keep_metadata(video, row())
    assert secret.read_bytes() == b"\x89PNG what nobody may see"
    assert json.loads(video.with_suffix(".json").read_text())["provider"] == "https://api.aimlapi.com"


def test_a_link_to_another_place_in_the_workspace_is_fine(tmp_path):
    workspace = Workspace(tmp_path / "clips")
    (workspace.path / "videos").mkdir(parents=True)
    (workspace.path / "kept.mp4").write_bytes(b"x")
    (workspace.path / "videos" / "clip.mp4").symlink_to(workspace.path / "kept.mp4")
    assert workspace.video_target(row(video_file="clip.mp4")).read_bytes() == b"x"


# Pictures, each in a process of its own, whose peak of memory is measured

CHILD = """
import resource, sys
from tests.unit.hostile_pictures import BOMBS
from kling_widget import ImageError, SourceImage
SourceImage.load(BOMBS["harmless"]())
for plugin in ("WebP", "Gif", "Tiff"):
    __import__(f"PIL.{plugin}ImagePlugin")
data = BOMBS[sys.argv[1]]()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    told = repr(SourceImage.load(data).width)
except ImageError as error:
    told = f"ImageError: {error.message}"
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, told)
"""
KIBIBYTES = 1024 if sys.platform == "darwin" else 1  # ru_maxrss counts bytes there, else kibibytes


@pytest.mark.skipif(sys.platform == "win32", reason="`resource` is not there")
@pytest.mark.parametrize(
    ("bomb", "told"),
    [
        ("PNG of 10,000 megapixels", "too large to open safely"),
        ("GIF of 4,295 megapixels", "too large to open safely"),
        ("TIFF of 2^62 pixels", "too large to open safely"),
        # Pillow 13 refuses to open it, Pillow 12 (the last for Python 3.10) tells its size, which we refuse.
        ("WebP of 268 megapixels", "cannot be read|too large to open safely"),
        ("WebP wider than WebP can be", "cannot be read"),
        ("PNG whose colour profile unpacks to a gigabyte", "cannot be read"),
        ("PNG whose text unpacks to a gigabyte", "cannot be read"),
        ("PNG whose UTF-8 text unpacks to a gigabyte", "cannot be read"),
        ("PNG whose pixels unpack to a gigabyte", "300"),
        ("GIF of 100,000 frames", "320"),
    ],
)
def test_a_picture_bomb_takes_no_memory(bomb, told):
    child = subprocess.run(
        [sys.executable, "-c", CHILD, bomb], capture_output=True, text=True, check=True, timeout=60, cwd=Path.cwd()
    )
    peak, _, what = child.stdout.partition(" ")
    assert re.search(told, what)
    assert int(peak) / KIBIBYTES < 32_000, f"{int(peak) / KIBIBYTES / 1000:.0f} MB"


# Texts that would be markup

MARKUP = '<img src=x onerror="window.__pwned=1"><script>window.__pwned=1</script>\'">&lt;'


def test_nothing_that_people_or_the_vendor_wrote_is_markup_in_the_page_of_a_video(tmp_path):
    from html.parser import HTMLParser

    names = {"prompt": MARKUP, "negative_prompt": MARKUP, "take": MARKUP, "duration": MARKUP, "cfg_scale": MARKUP}
    video = Video(tmp_path / 'a"><img src=x onerror=alert(1)>.mp4', url="javascript:alert(1)", metadata=names)
    video.path.write_bytes(b"no video")

    seen: list[tuple[str, list[str]]] = []

    class Tags(HTMLParser):
        def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
            seen.append((tag, [name for name, _ in attributes]))

    for host in ("jupyter", "colab", "vscode", "page"):
        for shown in (video, Video(tmp_path / "gone<img src=x onerror=alert(1)>.mp4", metadata=names)):
            Tags().feed(shown.html(host))
            assert "javascript:" not in shown.html(host)
    assert {tag for tag, _ in seen} <= {"figure", "video", "figcaption", "br", "small", "code"}
    assert {"figure", "video", "code"} <= {tag for tag, _ in seen}
    assert not [name for _, names in seen for name in names if name.startswith("on")]


def test_a_hostile_name_of_a_picture_stays_a_name(tmp_path):
    path = tmp_path / '"><img src=x onerror=alert(1)>.png'
    from PIL import Image

    Image.new("RGB", (320, 320)).save(path)
    picture = SourceImage.load(path)
    name = Workspace(tmp_path).name_video(row(pictures={"image_url": {"name": picture.name}}))
    assert not set(name) & set("<>\"'/\\&= ")
    with pytest.raises(ImageError, match="cannot be used"):
        SourceImage.load("javascript:alert(1)")


def test_what_the_vendor_said_is_cut_to_a_bearable_length():
    from kling_widget.task import LONGEST_TEXT, Task

    body = {"id": "a" * 10**5, "status": "s" * 10**5, "video": {"url": "https://" + "u" * 10**6}}
    task = Task.parse(json.dumps({**body, "error": {"name": "n" * 10**5, "message": "m" * 10**6}}).encode(), {})
    assert (task.id, task.status, task.video_url) == (None, "", None)
    assert len(task.error.name) + len(task.error.message) <= LONGEST_TEXT + 200
    assert len(str(GenerationFailedError(task.error.message))) < 3000
