"""A large photograph reaches the kernel byte for byte, whatever happens on the way, and the vendor as it likes it."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from kling_widget.simulator import SimulatorServer, SimulatorSettings
from tests.e2e.files import digest, drop_files, paste_files, photograph
from tests.e2e.lab import Lab
from tests.e2e.notebook import Notebook
from tests.e2e.people import IMAGES, MADE, WIDGET, choose, generations, press_generate

if TYPE_CHECKING:
    from playwright.sync_api import Page

KEY = "sk-test-of-uploads"
LIMIT = 10_000_000
"""Bytes the vendor takes at most."""
CHUNK, LARGEST_CHUNK = 512 * 1024, 4 * 1024 * 1024
"""Bytes the first message may carry at most, and any (docs/architecture.md)."""

NETWORK = """
arrived = []
plan = {}

def deliver(widget, message, buffers):
    if message.get("type") == "upload":
        name, offset, size = message["name"], message["offset"], message["size"]
        arrived.append([name, offset, buffers[0].nbytes])
        nth = sum(each[0] == name for each in arrived)
        fate = plan.pop((size, nth), None) or plan.get(name)
        if fate == "lost":
            return
        if fate == "damaged":
            buffers = [bytes(buffers[0][:-1]) + bytes([buffers[0][-1] ^ 1])]
    widget._receive(widget, message, buffers)

w.on_msg(w._receive, remove=True)
w.on_msg(deliver)
"""
"""A stretch of wire before the widget. `plan` says what it does to chunks: by size of the file and their number, or by
name to all of a file."""

PERCENTS = """slot => {
    window.percents = [];
    const look = () => {
        const said = slot.querySelector(".kw-low")?.textContent.match(/^(\\d+) %$/);
        if (said && window.percents.at(-1) !== +said[1]) window.percents.push(+said[1]);
    };
    new MutationObserver(look).observe(slot, {childList: true, subtree: true, characterData: true});
}"""
"""Notes down every percentage that a slot shows."""


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two photographs of about 20 MB."""
    folder = tmp_path_factory.mktemp("photos")
    photos = photograph(folder / "harbour.jpg", 1), photograph(folder / "market.jpg", 2)
    for photo in photos:
        assert 19_000_000 < photo.stat().st_size < 23_000_000
    return photos


@pytest.fixture(scope="module")
def vendor() -> Generator[SimulatorServer]:
    """The vendor's API over real HTTP; small videos, since only the pictures matter here."""
    with SimulatorServer(SimulatorSettings(long_edge=160, api_keys=frozenset({KEY}))) as server:
        yield server


def open_widget(lab: Lab, vendor: SimulatorServer) -> Notebook:
    """A widget that talks to `vendor`, behind a stretch of wire that can lose things."""
    notebook = lab.notebook([WIDGET], env={"KLING_WIDGET_BASE_URL": vendor.url, "AIMLAPI_KEY": KEY})
    notebook.run(0)
    expect(lab.page.get_by_label("First frame", exact=True)).to_be_attached()
    notebook.kernel_eval(NETWORK)
    return notebook


def wait_uploaded(page: Page, label: str) -> None:
    """Waits until the slot's picture is in, read, and told about."""
    expect(page.locator(".kw-note", has_text=label)).to_be_visible(timeout=MADE)


def sent_pictures(vendor: SimulatorServer) -> dict[str, Any]:
    """Name of the field → bytes of the pictures in the last submission that the vendor got."""
    submissions = [request for request in vendor.simulator.requests if request.method == "POST"]
    body = json.loads(submissions[-1].body)
    return {
        name: base64.b64decode(body[name].partition(",")[2]) for name in ("image_url", "tail_image_url") if name in body
    }


def assert_fit_to_send(picture: bytes) -> None:
    """Under the vendor's limit, and a whole picture of the photograph's shape."""
    from PIL import Image

    assert len(picture) < LIMIT
    with Image.open(io.BytesIO(picture)) as image:
        image.load()
        assert image.format == "JPEG"
        assert image.width / image.height == pytest.approx(6000 / 4000, rel=0.01)
        assert image.width > 1920  # more than the video shows


def test_a_picked_photograph_arrives_though_chunks_are_lost_and_damaged_and_is_sent_as_the_vendor_likes_it(
    lab: Lab, vendor: SimulatorServer, photos: tuple[Path, Path]
) -> None:
    photo, page = photos[0], lab.page
    notebook = open_widget(lab, vendor)
    size = photo.stat().st_size
    notebook.kernel_eval(f"plan.update({{({size}, 3): 'lost', ({size}, 5): 'damaged'}})")
    slot = page.locator("[data-slot=first_frame]")
    slot.evaluate(PERCENTS)
    choose(page, "First frame", photo)
    expect(page.get_by_role("progressbar", name="Upload")).to_be_visible()
    wait_uploaded(page, "First frame")
    assert notebook.kernel_eval("[w.image.sha256, w.image.source_size]") == [digest(photo), photo.stat().st_size]

    arrived = notebook.kernel_eval("arrived")
    sizes = [size for _, _, size in arrived]
    offsets = [offset for _, offset, _ in arrived]
    assert sizes[0] <= CHUNK
    assert max(sizes) <= LARGEST_CHUNK
    again = sorted({offset for offset in offsets if offsets.count(offset) == 2})
    assert again == sorted([offsets[2], offsets[4]])
    assert len(offsets) == len(set(offsets)) + 2, "only what was lost or damaged is sent again"

    percents = page.evaluate("window.percents")
    assert len(percents) > 5, "progress is shown while it happens"
    assert percents == sorted(percents)

    note = page.locator(".kw-note").inner_text()
    assert re.search(r"First frame: Scaled from 6000 × 4000 px to \d+ × \d+ px and re-encoded as JPEG, ", note)
    assert re.search(r"[\d.]+ MB → [\d.]+ MB, to stay under 10 MB", note)
    page.get_by_role("textbox", name="Prompt", exact=True).fill("Boats come in")
    press_generate(page)
    expect(generations(page)).to_contain_text("Ready", timeout=MADE)
    assert_fit_to_send(sent_pictures(vendor)["image_url"])


def test_one_dropped_and_one_pasted_arrive_byte_for_byte_and_are_sent_fit(
    lab: Lab, vendor: SimulatorServer, photos: tuple[Path, Path]
) -> None:
    dropped, pasted = photos
    page = lab.page
    notebook = open_widget(lab, vendor)
    drop_files(page.locator("[data-slot=first_frame]"), dropped)
    wait_uploaded(page, "First frame")
    prompt = page.get_by_role("textbox", name="Prompt", exact=True)
    prompt.click()  # away from the first slot, which a paste would replace while the mouse points at it
    paste_files(prompt, pasted)  # the first empty slot takes it
    wait_uploaded(page, "Last frame")
    assert notebook.kernel_eval("[w.image.sha256, w.tail_image.sha256]") == [digest(dropped), digest(pasted)]
    assert notebook.kernel_eval("[w.image.name, w.tail_image.name]") == ["harbour.jpg", "market.jpg"]
    prompt.fill("From harbour to market")
    press_generate(page)
    expect(generations(page)).to_contain_text("Ready", timeout=MADE)
    pictures = sent_pictures(vendor)
    assert_fit_to_send(pictures["image_url"])
    assert_fit_to_send(pictures["tail_image_url"])
    assert pictures["image_url"] != pictures["tail_image_url"]


def test_another_picture_picked_meanwhile_takes_the_place_of_the_one_under_way(
    lab: Lab, vendor: SimulatorServer, photos: tuple[Path, Path]
) -> None:
    page = lab.page
    notebook = open_widget(lab, vendor)
    notebook.kernel_eval("plan['harbour.jpg'] = 'lost'")  # it will never be in
    choose(page, "First frame", photos[0])
    page.wait_for_function("() => document.querySelector('[data-slot=first_frame] .kw-low')?.textContent === '0 %'")
    choose(page, "First frame", IMAGES / "rocket.jpg")
    expect(page.locator("[data-slot=first_frame]")).to_contain_text("×")
    expect(page.get_by_role("progressbar", name="Upload")).to_have_count(0)
    assert notebook.kernel_eval("w.image.sha256") == digest(IMAGES / "rocket.jpg")
    notebook.kernel_eval("plan.clear()\narrived.clear()")
    page.wait_for_timeout(6_000)  # longer than a lost chunk waits before it is sent again
    assert notebook.kernel_eval("[arrived, w.image.name]") == [[], "rocket.jpg"]


def test_a_smaller_copy_goes_where_the_original_would_take_too_long(
    lab: Lab, vendor: SimulatorServer, photos: tuple[Path, Path]
) -> None:
    page = lab.page
    notebook = open_widget(lab, vendor)
    notebook.kernel_eval(f"plan[{photos[0].stat().st_size}, 3] = 'lost'")
    choose(page, "First frame", photos[0])
    page.get_by_role("button", name="Send a smaller copy").click()
    expect(page.get_by_role("progressbar", name="Upload")).to_have_count(0, timeout=MADE)
    width, height, size, source_size, key = notebook.kernel_eval(
        "[w.image.width, w.image.height, w.image.size, w.image.source_size, w.image.sha256]"
    )
    assert (width, height) == (3840, 2560)
    assert size <= LIMIT
    assert source_size < photos[0].stat().st_size
    assert key != digest(photos[0])
    expect(page.locator("[data-slot=first_frame]")).to_contain_text("3840 × 2560")
