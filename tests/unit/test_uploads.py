"""A file that arrives in pieces is the same file, in whatever order and however often the pieces come."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kling_widget.uploads import LARGEST_CHUNK, LARGEST_UPLOAD, Upload, Uploads


def sha(data):
    return hashlib.sha256(data).hexdigest()


@given(st.binary(min_size=1, max_size=400), st.integers(1, 60), st.randoms())
def test_pieces_in_any_order_and_repeated_make_the_whole(data, step, random):
    upload = Upload("first_frame", "a.png", len(data))
    offsets = [*range(0, len(data), step)] * 2
    random.shuffle(offsets)
    for offset in offsets:
        piece = data[offset : offset + step]
        assert upload.add(offset, memoryview(piece), sha(piece))
    assert upload.complete
    assert upload.received == len(data)
    assert upload.take() == data


def test_a_missing_piece_is_noticed():
    upload = Upload("first_frame", "a.png", 30)
    upload.add(0, b"x" * 10, None)
    upload.add(20, b"x" * 10, None)
    assert not upload.complete
    assert upload.received == 20


@pytest.mark.parametrize(
    ("offset", "chunk"),
    [(-1, b"a"), (0, b""), (25, b"x" * 10), (0, b"x" * (LARGEST_CHUNK + 1))],
)
def test_a_piece_that_does_not_fit_is_refused(offset, chunk):
    assert not Upload("first_frame", "a.png", 30).add(offset, chunk, None)


def test_a_damaged_piece_is_refused():
    assert not Upload("first_frame", "a.png", 3).add(0, b"abx", sha(b"abc"))


@pytest.mark.parametrize("size", [0, -5, LARGEST_UPLOAD + 1])
def test_sizes_that_no_picture_has_are_refused_before_any_memory_is_taken(size):
    with pytest.raises(ValueError, match="is not taken"):
        Upload("first_frame", "a.png", size)


def test_a_new_upload_for_a_slot_replaces_the_one_before_which_never_begins_again():
    uploads = Uploads()
    old = uploads.get("1", "first_frame", "a.png", 10, 0)
    other = uploads.get("2", "last_frame", "b.png", 10, 0)
    new = uploads.get("3", "first_frame", "c.png", 10, 0)
    assert old is not None
    assert uploads.get("2", "last_frame", "b.png", 10, 5) is other
    assert uploads.get("1", "first_frame", "a.png", 10, 0) is None
    assert uploads.get("1", "first_frame", "a.png", 10, 5) is None
    assert uploads.get("3", "first_frame", "c.png", 10, 5) is new


def test_only_its_first_chunk_begins_an_upload():
    uploads = Uploads()
    assert uploads.get("1", "first_frame", "a.png", 10, 5) is None
    begun = uploads.get("1", "first_frame", "a.png", 10, 0)
    assert begun is not None
    assert uploads.get("1", "first_frame", "a.png", 10, 5) is begun


def test_an_upload_that_was_taken_needs_nothing_more_and_keeps_no_bytes():
    upload = Upload("first_frame", "a.png", 3)
    upload.add(0, b"abc", None)
    assert upload.take() == b"abc"
    assert upload.add(0, b"abc", None)
    assert not upload.complete
    assert upload.received == 3
    assert upload.take() == b""
