"""What a person gives by mistake: one named error that says what happened and what to do; nothing is submitted."""

from __future__ import annotations

import os
import socket
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import kling_widget as kw
from kling_widget.simulator import SimulatorServer
from tests.integration.conftest import KEY, Serve

NOBODY = 65534
"""User id without rights, by convention."""


def png_header(side: int) -> bytes:
    """A PNG that says it has `side` x `side` pixels and has none."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 16)) + chunk(b"IEND", b"")


def teal(width: int, height: int) -> Image.Image:
    return Image.new("RGB", (width, height), "teal")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Good and bad pictures."""
    folder = tmp_path_factory.mktemp("pictures")
    (folder / "empty.png").touch()
    (folder / "notes.png").write_text("Buy milk.\n")
    (folder / "huge.png").write_bytes(png_header(40_000))
    teal(100, 100).save(folder / "small.png")
    teal(640, 360).save(folder / "good.png")
    teal(640, 360).save(folder / "locked.png")
    (folder / "locked.png").chmod(0)
    return folder


@pytest.fixture
def vendor(server: SimulatorServer) -> SimulatorServer:
    """The vendor's API over real HTTP, with one good key."""
    return server


@pytest.fixture
def good(folder: Path, vendor: SimulatorServer, tmp_path: Path) -> dict[str, Any]:
    """Arguments that make a video."""
    settings = {"api_key": KEY, "base_url": vendor.url, "workspace": tmp_path / "videos", "progress": False}
    return {"image": folder / "good.png", "prompt": "a quiet harbour", **settings}


@contextmanager
def without_rights() -> Iterator[None]:
    """As a user who may not read everything, also where the tests run as root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def assert_nothing_submitted(vendor: SimulatorServer, arguments: dict[str, Any]) -> None:
    """The vendor was not asked for anything, and the workspace knows of nothing."""
    assert vendor.simulator.tasks == []
    assert vendor.simulator.requests == []
    settings = {name: arguments[name] for name in ("base_url", "workspace")}
    assert kw.generations(**settings) == []


Change = dict[str, Any] | Callable[[Path], dict[str, Any]]

REFUSED: list[tuple[str, Change, type[kw.KlingError], str]] = [
    ("no image", {"image": None}, kw.ImageError, "There is no first frame. Choose a picture to start from."),
    (
        "an empty file",
        lambda folder: {"image": folder / "empty.png"},
        kw.ImageError,
        "empty.png is empty: it has no bytes. Choose another picture.",
    ),
    (
        "a text file named .png",
        lambda folder: {"image": folder / "notes.png"},
        kw.ImageError,
        "notes.png is not a picture: it holds text. "
        "JPEG, PNG, WebP, HEIC, AVIF, TIFF, GIF, BMP and JPEG 2000 can be read.",
    ),
    (
        "a 40,000 x 40,000 px PNG",
        lambda folder: {"image": folder / "huge.png"},
        kw.ImageError,
        "huge.png is too large to open safely: 40,000 × 40,000 px are 1,600 megapixels, and 179 is the most. "
        "Scale it down first; the video is 1920 px long at most.",
    ),
    (
        "a 100 x 100 px image",
        lambda folder: {"image": folder / "small.png"},
        kw.ImageError,
        "The first frame may be refused: 100 × 100 px is below the 300 px the model needs on each side. "
        "To send it all the same: send_anyway=True.",
    ),
    (
        "a small last frame",
        lambda folder: {"tail_image": folder / "small.png"},
        kw.ImageError,
        "The last frame may be refused: 100 × 100 px is below the 300 px the model needs on each side. "
        "To send it all the same: send_anyway=True.",
    ),
    ("duration 7", {"duration": 7}, kw.InvalidRequestError, "duration must be 5 or 10 seconds, not 7."),
    ("cfg_scale 1.2", {"cfg_scale": 1.2}, kw.InvalidRequestError, "cfg_scale must be a number from 0 to 1, not 1.2."),
    (
        "no prompt",
        {"prompt": "  "},
        kw.InvalidRequestError,
        "The prompt is empty: write what should happen in the video.",
    ),
    (
        "a 10,000-character prompt",
        {"prompt": "slow dolly " * 909 + "!"},
        kw.InvalidRequestError,
        "The prompt has 10,000 characters; the model takes at most 2,500. To send it all the same: send_anyway=True.",
    ),
    (
        "a last frame and a camera",
        lambda folder: {"tail_image": folder / "good.png", "camera_control": {"type": "down_back"}},
        kw.InvalidRequestError,
        "The model may refuse a last frame and a camera together: Kling takes one of them. "
        "To send it all the same: send_anyway=True.",
    ),
    (
        "a mask of another shape",
        lambda _folder: {"static_mask": teal(400, 400)},
        kw.InvalidRequestError,
        "The model may refuse a mask of 400 × 400 px for a picture of 640 × 360 px: Kling wants one aspect ratio. "
        "To send it all the same: send_anyway=True.",
    ),
    (
        "masks of two sizes",
        lambda _folder: {
            "static_mask": teal(640, 360),
            "dynamic_masks": [{"mask": teal(320, 180), "trajectories": [{"x": 0, "y": 0}] * 2}],
        },
        kw.InvalidRequestError,
        "The model may refuse masks of 320 × 180 px and 640 × 360 px: Kling wants one size. "
        "To send it all the same: send_anyway=True.",
    ),
    (
        "a path outside the picture",
        lambda _folder: {
            "dynamic_masks": [{"mask": teal(640, 360), "trajectories": [{"x": 0, "y": 0}, {"x": 640, "y": 361}]}],
        },
        kw.InvalidRequestError,
        "The model may refuse a trajectory through (640, 361): the picture has 640 × 360 px. "
        "To send it all the same: send_anyway=True.",
    ),
    (
        "a path where nothing is",
        lambda folder: {"image": folder / "gone.png"},
        kw.ImageError,
        "There is no file {folder}/gone.png. Check the name and the folder.",
    ),
    (
        "a folder",
        lambda folder: {"image": str(folder)},
        kw.ImageError,
        "{folder} is a folder, not a picture. Give one file in it.",
    ),
    (
        "a URL without a host",
        {"image": "https:///cat.png"},
        kw.ImageError,
        "https:///cat.png is not a web address: it names no host. A full address looks like https://example.org/cat.png.",
    ),
    (
        "a mistyped URL",
        {"image": "htps://example.org/cat.png"},
        kw.ImageError,
        "An address that begins with htps: cannot be used. Use http:// or https://.",
    ),
    (
        "a text that is no key",
        {"api_key": "my key"},
        kw.AuthenticationError,
        "This does not look like an API key: it is empty or has spaces or unusual characters. "
        "Copy the key once more from the vendor's key page.",
    ),
]


@pytest.mark.parametrize(
    ("change", "kind", "sentence"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_bad_input_is_one_named_error_and_nothing_leaves_the_machine(
    change: Change,
    kind: type[kw.KlingError],
    sentence: str,
    folder: Path,
    vendor: SimulatorServer,
    good: dict[str, Any],
) -> None:
    arguments = {**good, **(change(folder) if callable(change) else change)}
    with pytest.raises(kw.KlingError) as caught:
        kw.submit(**arguments)
    assert type(caught.value) is kind
    assert str(caught.value) == sentence.format(folder=folder)
    assert not caught.value.may_have_cost
    assert_nothing_submitted(vendor, arguments)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="Windows has other permissions")
def test_a_file_that_may_not_be_read_is_one_named_error(folder: Path, vendor: SimulatorServer, good: Any) -> None:
    given = os.open(folder, os.O_RDONLY)  # nobody may not enter the folder by its full path
    try:
        with without_rights(), pytest.raises(kw.ImageError) as caught:
            kw.submit(**{**good, "image": f"/proc/self/fd/{given}/locked.png"})
    finally:
        os.close(given)
    assert str(caught.value).endswith("locked.png may not be read. Check the file's permissions.")
    assert_nothing_submitted(vendor, good)


def test_without_any_key_every_way_to_give_one_is_named(
    vendor: SimulatorServer, good: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(kw.MissingKeyError) as caught:
        kw.submit(**{**good, "api_key": None})
    for way in ("api_key=…", "AIMLAPI_KEY", "AIML_API_KEY", "AIMLAPI_API_KEY", "Colab", "keyring", "simulate=True"):
        assert way in str(caught.value)
    assert_nothing_submitted(vendor, good)


def test_a_wrong_key_is_told_and_costs_nothing(vendor: SimulatorServer, good: dict[str, Any]) -> None:
    with pytest.raises(kw.KlingError) as caught:
        kw.generate(**{**good, "api_key": "sk-wrong"})
    assert type(caught.value) is kw.AuthenticationError
    assert str(caught.value).startswith("The API key was refused (401). The vendor said: ")
    assert str(caught.value).endswith(". Nothing was charged. Check or replace the key.")
    assert "sk-wrong" not in str(caught.value)
    assert vendor.simulator.tasks == []
    assert kw.generate(**good).path.exists(), "the same call with a good key makes the video"


def test_no_credits_are_told_and_cost_nothing(serve: Serve, good: dict[str, Any]) -> None:
    vendor = serve(credits=0)
    with pytest.raises(kw.KlingError) as caught:
        kw.generate(**{**good, "base_url": vendor.url})
    assert vendor.simulator.tasks == []
    assert type(caught.value) is kw.InsufficientCreditsError
    assert str(caught.value) == (
        "The account is out of credits or may not use this model (403). "
        "The vendor said: You have run out of credits. Please top up your balance. "
        "Nothing was charged. Top up the account, then try again."
    )


def test_a_server_that_is_down_is_told_after_a_few_tries(good: dict[str, Any]) -> None:
    with socket.socket() as taken:  # bound and not listening: every connection is refused
        taken.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(kw.KlingError) as caught:
            kw.generate(**{**good, "base_url": f"http://{host}"})
    assert type(caught.value) is kw.ServerError
    assert str(caught.value) == (
        f"The server {host} cannot be reached. Nothing was charged. Check the network, then try again."
    )


def test_a_base_url_that_is_none_is_told(good: dict[str, Any]) -> None:
    with pytest.raises(kw.KlingError) as caught:
        kw.submit(**{**good, "base_url": "http://api.example.org"})
    assert type(caught.value) is kw.InvalidRequestError
    assert str(caught.value) == (
        "base_url must be an https address, not 'http://api.example.org'. Plain http is allowed for this machine only."
    )


@pytest.mark.parametrize("change", [{"image": "small.png"}, {"prompt": "slow dolly " * 909 + "!"}])
def test_what_is_only_advice_is_sent_when_asked_to(
    change: dict[str, str], folder: Path, vendor: SimulatorServer, good: dict[str, Any]
) -> None:
    if "image" in change:
        change = {"image": str(folder / change["image"])}
    with pytest.raises(kw.KlingError) as caught:
        kw.submit(**{**good, **change})
    assert caught.value.advice
    assert vendor.simulator.requests == []
    assert kw.generate(**{**good, **change}, send_anyway=True).path.exists()
    assert len(vendor.simulator.tasks) == 1
