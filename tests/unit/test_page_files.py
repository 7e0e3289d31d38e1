"""A page takes in pictures and videos from the folders it was given, and nothing else, whatever a notebook asks for."""

from __future__ import annotations

import base64
import shutil

import pytest

from kling_widget.page_files import NotTakenError, PageFiles
from tests.unit.media_samples import make_clip
from tests.unit.picture_samples import PHOTOS

OUTSIDE = "is not in this page: it is not in the notebook's folder"
SECRET = b"root:x:0:0"


@pytest.fixture
def folder(tmp_path):
    """A notebook's folder with a clip and a picture, beside another person's."""
    here = tmp_path / "mine" / "work"
    (here / "kling_videos" / "videos").mkdir(parents=True)
    make_clip(here / "kling_videos" / "videos" / "a clip.mp4", frames=2)
    shutil.copy(PHOTOS / "rocket.jpg", here / "rocket.jpg")
    for place in (tmp_path / "mine", here / ".hidden", here / ".hidden" / "deep"):
        place.mkdir(exist_ok=True)
        shutil.copy(PHOTOS / "coffee.png", place / "private.png")
    (here / "passwords.png").write_bytes(SECRET)
    return here


@pytest.fixture
def files(folder):
    return PageFiles(folder, [folder], 10_000_000)


@pytest.mark.parametrize(
    ("address", "name", "media_type"),
    [
        ("kling_videos/videos/a%20clip.mp4", "kling_videos/videos/a clip.mp4", "video/mp4"),
        ("./rocket.jpg?once=1#there", "rocket.jpg", "image/jpeg"),
        ("kling_videos/../rocket.jpg", "rocket.jpg", "image/jpeg"),
    ],
)
def test_files_of_the_notebook_s_folder_become_part_of_the_page(files, folder, address, name, media_type):
    head, _, data = files.data_uri(address).partition(",")
    assert head == f"data:{media_type};base64"
    assert base64.b64decode(data) == (folder / name).read_bytes()


def test_what_is_in_the_page_already_stays(files):
    assert files.data_uri("data:image/png;base64,AAAA") == "data:image/png;base64,AAAA"


@pytest.mark.parametrize(
    "address",
    [
        "../private.png",
        "kling_videos/%2e%2e/..%2fprivate.png",
        "..\\private.png",
        "{folder}/rocket.jpg",
        "file://{folder}/rocket.jpg",
        "file:rocket.jpg",
        "//localhost{folder}/rocket.jpg",
        "C:/rocket.jpg",
        "javascript:window.__pwned=1",
        " java\nscript:window.__pwned=1",
        "data:text/html,<script>window.__pwned=1</script>",
        "http://[",
        "rocket.jpg\0.png",
        ".hidden/private.png",
        ".hidden/deep/private.png",
        ".",
        "link.png",
        "linked/private.png",
        "a" * 5000,
    ],
)
def test_every_other_address_is_refused(files, folder, address):
    (folder / "link.png").symlink_to(folder.parent / "private.png")
    (folder / "linked").symlink_to(folder.parent, target_is_directory=True)
    with pytest.raises(NotTakenError, match=OUTSIDE):
        files.data_uri(address.format(folder=folder))


def test_a_link_to_itself_leads_to_no_file(files, folder):
    (folder / "loop.png").symlink_to(folder / "loop.png")
    with pytest.raises(NotTakenError, match=r"The file loop\.png was not there"):
        files.data_uri("loop.png")


def test_a_link_within_the_folder_is_followed(files, folder):
    (folder / "same.jpg").symlink_to(folder / "rocket.jpg")
    assert files.data_uri("same.jpg") == files.data_uri("rocket.jpg")


def test_a_workspace_elsewhere_is_a_place_for_files_too(folder):
    other = folder.parent / "clips"
    (other / "videos").mkdir(parents=True)
    make_clip(other / "videos" / "b.mp4", frames=2)
    assert PageFiles(folder, [folder, other], 10**6).data_uri("../clips/videos/b.mp4").startswith("data:video/mp4")
    with pytest.raises(NotTakenError, match=OUTSIDE):
        PageFiles(folder, [folder, other], 10**6).data_uri("../private.png")


def test_only_what_really_is_a_picture_or_video_is_taken(files, folder):
    (folder / "notes.mp4").write_bytes(SECRET)
    for name in ("passwords.png", "notes.mp4"):
        with pytest.raises(NotTakenError, match=rf"{name} is not in this page: it is no picture or video"):
            files.data_uri(name)


def test_what_is_too_large_or_gone_is_told(folder):
    with pytest.raises(NotTakenError, match=r"rocket\.jpg is too large for this page: \d+ KB\."):
        PageFiles(folder, [folder], 1000).data_uri("rocket.jpg")
    with pytest.raises(NotTakenError, match=r"gone\.mp4 was not there"):
        PageFiles(folder, [folder], 1000).data_uri("kling_videos/gone.mp4")
