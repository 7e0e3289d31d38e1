"""What another kernel, another tab or a line of Python asks for in a workspace shows in every widget on it."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from kling_widget import KlingWidget
from kling_widget.simulator import Fault
from tests.integration.conftest import KEY, studio_on, submissions
from tests.integration.simulator_fixtures import picture

DEADLINE = 60.0

OTHER_KERNEL = f"""
import sys, kling_widget as kw
url, folder, picture = sys.argv[1:]
studio = kw.Studio(api_key={KEY!r}, base_url=url, workspace=folder)
for number in range(2):
    studio.submit(picture, f"harbour {{number}}").wait(60)
"""


@pytest.fixture(autouse=True)
def frequent_looks(monkeypatch):
    monkeypatch.setattr("kling_widget.arrivals.LOOK", 0.2)


@pytest.fixture
def widget(server, tmp_path):
    """A widget on the workspace, open before anything is asked for."""
    shown = KlingWidget(api_key=KEY, base_url=server.url, workspace=tmp_path / "clips")
    yield shown
    shown.close()


def shown_when(widget, satisfied):
    """The entries as soon as they are as wanted."""
    deadline = time.monotonic() + DEADLINE
    while not satisfied(widget.entries):
        assert time.monotonic() < deadline, widget.entries
        time.sleep(0.02)
    return widget.entries


def all_ready(count):
    return lambda entries: len(entries) == count and all(entry["status"] == "completed" for entry in entries)


def test_clips_of_another_kernel_appear_while_the_widget_is_open(widget, server, tmp_path):
    (tmp_path / "cat.png").write_bytes(picture())
    arguments = [server.url, str(tmp_path / "clips"), str(tmp_path / "cat.png")]
    subprocess.run([sys.executable, "-c", OTHER_KERNEL, *arguments], check=True, timeout=DEADLINE)
    entries = shown_when(widget, all_ready(2))
    assert [entry["prompt"] for entry in entries] == ["harbour 1", "harbour 0"]
    assert entries[0]["video"]["size"] > 1000
    assert len(submissions(server)) == 2


def test_a_clip_of_another_kernel_is_followed_from_its_beginning_to_the_video(serve, tmp_path):
    server = serve(time_factor=40)
    widget = KlingWidget(api_key=KEY, base_url=server.url, workspace=tmp_path / "clips")
    generation = studio_on(server, tmp_path).submit(picture(), "slow dolly in")
    assert shown_when(widget, bool)[0]["active"]
    shown_when(widget, all_ready(1))
    assert generation.wait(DEADLINE).path == widget.generations[0].video.path
    assert len(submissions(server)) == 1
    widget.close()


def test_a_closed_widget_looks_no_more(widget, server, tmp_path):
    studio = widget._studio
    shown_when(widget, lambda _: studio.arrivals._listeners)
    widget.close()
    deadline = time.monotonic() + DEADLINE
    while not studio.arrivals._looking.is_idle:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_row_found_in_the_moment_before_it_is_sent_is_sent_and_never_looked_up(studio, server, monkeypatch):
    """As when a widget opens while a cell submits: both see the row, and only one knows that nothing has left."""
    ledger = studio.workspace.ledger
    admit = type(ledger).admit

    def found_at_once(self, *arguments, **named):
        admitted = admit(self, *arguments, **named)
        assert studio.take_up()
        return admitted

    monkeypatch.setattr(type(ledger), "admit", found_at_once)
    assert studio.submit(picture(), "slow dolly in").wait(DEADLINE).size > 1000
    assert len(submissions(server)) == 1
    assert not [request for request in server.simulator.requests if request.path.endswith("/logs")]


def test_the_list_keeps_what_is_under_way_and_the_latest(widget, server, tmp_path, monkeypatch):
    monkeypatch.setattr("kling_widget.listing.LONGEST", 3)
    monkeypatch.setattr("kling_widget.arrivals.NEWEST", 2)  # fewer, as in earnest: what left must not come back
    other = studio_on(server, tmp_path)
    for number in range(5):
        other.submit(picture(), f"harbour {number}").wait(DEADLINE)
        prompt = f"harbour {number}"
        shown_when(widget, lambda all_, prompt=prompt: all_ and all_[0]["prompt"] == prompt and not all_[0]["active"])
    entries = shown_when(widget, lambda entries: len(entries) == 3)
    assert [entry["prompt"] for entry in entries] == ["harbour 4", "harbour 3", "harbour 2"]
    assert len(widget._stop_listening) == 3


def test_a_batch_beside_the_widget_does_not_flood_its_list(widget, server, tmp_path, monkeypatch):
    monkeypatch.setattr("kling_widget.listing.LONGEST", 3)
    server.simulator.faults.add(Fault("retrieve", "status_code", code=503, times=None))  # none becomes ready
    other = studio_on(server, tmp_path)
    for number in range(5):
        other.submit(picture(), f"harbour {number}")
    entries = shown_when(widget, lambda entries: entries and entries[0]["prompt"] == "harbour 4")
    assert [entry["prompt"] for entry in entries] == ["harbour 4", "harbour 3", "harbour 2"]
    assert all(generation.active for generation in widget.generations)
    assert len(widget.generations) == 5
