"""What a video was made from, in the MP4 file itself: it plays as before, and nothing in it is believed blindly."""

from __future__ import annotations

import hashlib
import json
import os

import pytest

from kling_widget import media, mp4_metadata
from kling_widget.ledger_row import Row, row_of
from tests.unit.media_samples import make_clip

OURS = b'{"prompt": "\xc3\xa9t\xc3\xa9"}'


@pytest.fixture
def clip(tmp_path):
    return make_clip(tmp_path / "clip.mp4")


def box(kind, content, length=None):
    return (8 + len(content) if length is None else length).to_bytes(4, "big") + kind + content


def test_the_vendors_bytes_stay_and_the_file_decodes_as_before(clip):
    before, info, last = clip.read_bytes(), media.probe(clip), media.frame_at(clip, "last").tobytes()
    assert mp4_metadata.append(clip, OURS)
    assert mp4_metadata.read(clip) == OURS
    assert clip.read_bytes().startswith(before)
    assert len(clip.read_bytes()) == len(before) + 24 + len(OURS)
    assert (media.probe(clip), media.frame_at(clip, "last").tobytes()) == (info, last)


def test_the_box_is_a_uuid_box_of_the_standard_with_our_type(clip):
    size = clip.stat().st_size
    mp4_metadata.append(clip, OURS)
    added = clip.read_bytes()[size:]
    assert added == (24 + len(OURS)).to_bytes(4, "big") + b"uuid" + mp4_metadata.USER_TYPE.bytes + OURS
    assert str(mp4_metadata.USER_TYPE) == "9d9a3c0e-6f0b-4a52-8c55-1a7b1f6f5c31"  # in people's files: never to change


def test_adding_the_same_twice_adds_it_once_and_the_last_word_counts(clip):
    mp4_metadata.append(clip, OURS)
    size = clip.stat().st_size
    assert mp4_metadata.append(clip, OURS)
    assert clip.stat().st_size == size
    mp4_metadata.append(clip, b"later")
    assert mp4_metadata.read(clip) == b"later"


def test_a_file_is_known_by_what_the_vendor_made_of_it(clip):
    plain = hashlib.sha256(clip.read_bytes()).digest()
    assert mp4_metadata.digest(clip) == plain
    mp4_metadata.append(clip, OURS)
    mp4_metadata.append(clip, b"fetched again, later")
    assert mp4_metadata.digest(clip) == plain
    with open(clip, "ab") as file:
        file.write(box(b"free", b"somebody else's"))
    assert mp4_metadata.digest(clip) == hashlib.sha256(clip.read_bytes().replace(ours_in(clip), b"")).digest() != plain


def ours_in(clip):
    data = clip.read_bytes()
    return data[data.index(b"uuid" + mp4_metadata.USER_TYPE.bytes) - 4 : data.rindex(b"free") - 4]


@pytest.mark.parametrize("size", [0, 7, 5_000_000])
def test_what_is_no_mp4_is_known_by_all_its_bytes(tmp_path, size):
    path = tmp_path / "notes.mp4"
    path.write_bytes(os.urandom(size))
    assert mp4_metadata.digest(path) == hashlib.sha256(path.read_bytes()).digest()


def test_a_last_box_without_an_end_is_left_alone(tmp_path):
    path = tmp_path / "open.mp4"
    path.write_bytes(box(b"ftyp", b"isom") + box(b"mdat", b"data", length=0))
    before = path.read_bytes()
    assert not mp4_metadata.append(path, OURS)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00",
        b"<html>no video</html>",
        box(b"uuid", mp4_metadata.USER_TYPE.bytes + b"{}"),  # not an MP4: it doesn't begin with ftyp
        box(b"ftyp", b"isom") + box(b"uuid", b"short"),
        box(b"ftyp", b"isom") + box(b"uuid", b"\x00" * 16 + b"another's"),
        box(b"ftyp", b"isom") + box(b"uuid", mp4_metadata.USER_TYPE.bytes, length=1 << 31),
        box(b"ftyp", b"isom") + box(b"mdat", b"", length=3),  # would never get on
        box(b"ftyp", b"isom") + (1).to_bytes(4, "big") + b"mdat" + (2**64 - 1).to_bytes(8, "big"),
        box(b"ftyp", b"isom") + box(b"uuid", mp4_metadata.USER_TYPE.bytes + bytes(mp4_metadata.LARGEST)),
    ],
)
def test_strange_and_hostile_files_hold_nothing(tmp_path, data):
    path = tmp_path / "strange.mp4"
    path.write_bytes(data)
    assert mp4_metadata.read(path) is None


def record(**changes):
    row = Row("kw-1", "https://api.example", "a" * 64, generation_id="g1", status="completed", created=1.0)
    made = row.with_(request={"prompt": "p", "duration": 5}, usd=0.5, video_url="https://signed.example/?token=1")
    whole = made.record()
    whole["ledger"].update(changes)
    return json.dumps(whole).encode()


def test_a_record_gives_the_row_again_without_the_signed_address_and_the_lease():
    row = row_of(record())
    assert row == Row(
        "kw-1", "https://api.example", "a" * 64, generation_id="g1", status="completed", created=1.0,
        request={"prompt": "p", "duration": 5}, usd=0.5,
    )  # fmt: skip
    assert b"signed.example" not in record()
    assert row_of(record(lease_owner="another", lease_until=1e18, video_url="file:///etc/passwd")) == row


@pytest.mark.parametrize(
    "changes",
    [
        {"client_request_id": "../../x"},
        {"client_request_id": 5},
        {"client_request_id": ""},
        {"generation_id": "a\nb"},
        {"generation_id": "x" * 257},
        {"take": 0},
        {"take": 2**40},
        {"take": "1"},
        {"created": -1},
        {"created": 1e300},
        {"usd": -3},
        {"request": ["prompt"]},
        {"request": {"prompt": {"a": 1}}},
        {"request": {"prompt": "p", "duration": "long"}},
        {"pictures": {"image_url": {"name": "x", "sha256": "../../etc/passwd", "url": None}}},
        {"pictures": {"image_url": {"name": "x", "sha256": None, "url": "file:///etc/passwd"}}},
        {"pictures": {"image_url": {}}},
        {"request_hash": "b" * 65},
        {"request_hash": ""},
    ],
    ids=str,
)
def test_a_record_the_ledger_could_not_have_written_is_not_believed(changes):
    assert row_of(record(**changes)) is None


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"null", b"[" * 100_000, b"\xff\xfe", b'{"ledger": 1}', b'{"ledger": NaN}', b'{"a": 1e999}']
)
def test_garbage_is_no_record(data):
    assert row_of(data) is None
