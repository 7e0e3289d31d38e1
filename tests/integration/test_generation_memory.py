"""What is over and held by nobody leaves the kernel's memory; what is under way goes on all the same."""

from __future__ import annotations

import gc
import weakref

import kling_widget as kw
from kling_widget import background
from tests.integration.test_generation_property import picture
from tests.torture.vendor import KEY, vendor


def test_a_finished_generation_that_nobody_holds_is_let_go(tmp_path):
    with vendor() as (server, _):
        studio = kw.Studio(api_key=KEY, base_url=server.url, workspace=tmp_path)
        generation = studio.submit(picture(), "slow dolly in", send_anyway=True)
        generation.wait(60)
        seen = weakref.ref(generation)
        del generation
        background.run(_turn())
        gc.collect()
        assert seen() is None
        assert studio.generations()[0].video is not None


def test_a_generation_that_nobody_holds_goes_on(tmp_path):
    with vendor() as (server, _):
        studio = kw.Studio(api_key=KEY, base_url=server.url, workspace=tmp_path)
        key = studio.submit(picture(), "slow dolly in", send_anyway=True).key
        gc.collect()
        assert studio.resume(key).wait(60).path.exists()
        assert len(server.simulator.tasks) == 1


async def _turn() -> None:
    """Lets the background loop end what it has begun."""


def test_a_video_that_nobody_shows_has_no_frame_decoded(tmp_path):
    """A thousand handles hold no posters; who shows one has its poster at once, and waits for it nowhere."""
    with vendor() as (server, _):
        studio = kw.Studio(api_key=KEY, base_url=server.url, workspace=tmp_path)
        unseen = studio.submit(picture(), "slow dolly in", send_anyway=True).wait(60)
        shown = studio.submit(picture(), "pan left", send_anyway=True)
        shown.on_change(lambda generation: None)
        assert shown.wait(60)._data_uris is not None
        assert unseen._data_uris is None
        assert "<img" in unseen.html()
