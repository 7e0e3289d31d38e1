"""A photograph of 20 MB, and the ways a person gives files to an element: by dropping and by pasting them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Locator

PASTE = """async (input, target) => {
    const clipboard = new DataTransfer();
    for (const file of input.files) clipboard.items.add(file);
    input.remove();
    target.focus();
    const event = new ClipboardEvent("paste", {
        clipboardData: clipboard, bubbles: true, cancelable: true, composed: true,
    });
    target.dispatchEvent(event);
}"""


def photograph(path: Path, seed: int, size: tuple[int, int] = (6000, 4000)) -> Path:
    """A JPEG as a camera's: 24 megapixels, full of detail, so that it has some 20 MB."""
    import numpy as np
    from PIL import Image

    grain = np.random.default_rng(seed).integers(0, 256, (500, 500, 3), dtype=np.uint8)
    pixels = np.tile(grain, (size[1] // 500, size[0] // 500, 1))
    Image.fromarray(pixels).save(path, "JPEG", quality=88)
    return path


def digest(file: Path) -> str:
    """SHA-256 of a file, in hex."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def drop_files(target: Locator, *paths: Path) -> None:
    """Drags files from outside over the middle of an element and drops them, by the browser's own drag events.

    As for a person, nothing is dropped where the page does not accept what is dragged over it.
    """
    target.scroll_into_view_if_needed()
    place = target.bounding_box()
    assert place is not None, "nothing can be dropped on what is not visible"
    x, y = place["x"] + place["width"] / 2, place["y"] + place["height"] / 2
    # 1: the only operation offered is "copy", as file managers do.
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    session = target.page.context.new_cdp_session(target.page)
    try:
        for kind in ("dragEnter", "dragOver", "drop"):
            session.send("Input.dispatchDragEvent", {"type": kind, "x": x, "y": y, "data": data})
    finally:
        session.detach()


def paste_files(target: Locator, *paths: Path) -> None:
    """Pastes files into an element, which gets the focus, byte for byte.

    The system's clipboard would encode a picture anew, so the event is made by hand; its files are real ones, read by
    the browser from disk.
    """
    page = target.page
    page.evaluate(
        "() => document.body.append(Object.assign(document.createElement('input'), {type: 'file', "
        "id: 'files-to-paste', multiple: true, hidden: true}))"
    )
    chosen = page.locator("#files-to-paste")
    chosen.set_input_files(list(paths))
    chosen.evaluate(PASTE, target.element_handle())
