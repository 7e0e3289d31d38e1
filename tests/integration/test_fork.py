"""Processes made by a fork (multiprocessing's, `os.fork`): a child shares nothing with its parent but the workspace."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from kling_widget.simulator import Fault
from tests.integration.conftest import KEY, submissions
from tests.integration.hostile_servers import Door, read_request, whole

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")

DEADLINE = 60.0  # seconds
BEGIN = """
import json, gc, os, signal, sys, time, traceback, urllib.request
import kling_widget as kw
from kling_widget import background
from tests.integration.simulator_fixtures import picture

url, folder, key = sys.argv[1:]

def forked(act):
    child = os.fork()
    if child:
        return child
    try:
        act()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    sys.stdout.flush()
    os._exit(0)

def ended(*children):
    for child in children:
        assert os.waitpid(child, 0)[1] == 0

def say(**facts):
    os.write(1, (json.dumps(facts) + "\\n").encode())  # at once: parent and children share the pipe

def make(prompt):
    made = kw.generate(picture(), prompt, api_key=key, base_url=url, workspace=folder, timeout=50, progress=False)
    say(**{prompt: made.path.name})
"""


def in_a_process(script: str, url: str, folder: Path) -> dict[str, str]:
    """Runs a script and all it forks; returns what they said."""
    command = [sys.executable, "-W", "ignore", "-c", BEGIN + script, url, str(folder / "clips"), KEY]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    said: dict[str, str] = {}
    for line in done.stdout.splitlines():
        said |= json.loads(line)
    return said


class Vendor(Door):
    """Tells each who asks for a generation which one it was; `held` ones only once everybody in `until` has asked."""

    def __init__(self, held: set[str], until: set[str]) -> None:
        self._held, self._missing, self._all = held, set(until), threading.Event()
        super().__init__()

    def serve(self, connection):
        while True:
            name = read_request(connection).partition(b"generation_id=")[2].partition(b" ")[0].decode()
            self._missing.discard(name)
            if not self._missing:
                self._all.set()
            if name in self._held:
                assert self._all.wait(DEADLINE)
            body = json.dumps({"id": name, "status": "completed", "video": {"url": f"https://x.example/{name}.mp4"}})
            connection.sendall(whole(body.encode()).replace(b"Connection: close\r\n", b""))


ASKS = """
studio = kw.Studio(api_key=key, base_url=url, workspace=folder)
def ask(name):
    return background.start(studio.client.retrieve(name))
def hears(name):
    say(**{name: ask(name).result(30).video_url})
"""


def test_parent_and_child_ask_over_connections_of_their_own(tmp_path):
    script = """
hears("a")  # its connection is kept
children = [forked(lambda: hears("b")), forked(lambda: hears("c"))]
hears("d")
hears("e")
ended(*children)
"""
    with Vendor({"b", "c", "d"}, {"b", "c", "d"}) as vendor:
        said = in_a_process(ASKS + script, f"http://127.0.0.1:{vendor.port}", tmp_path)
    assert said == {name: f"https://x.example/{name}.mp4" for name in "abcde"}


@pytest.mark.parametrize("way", ["os._exit(0)", "sys.exit()"])
def test_what_is_under_way_in_the_parent_is_not_touched_when_a_child_ends(tmp_path, way):
    """What is collected there must not shut down a connection, nor take it out of the epoll that both have."""
    script = f"""
under_way = ask("a")
while not any(task.get_name() for task in background.run(everything())):
    pass
child = os.fork()
if child == 0:
    studio.client  # another than the parent's
    background.run(nothing())
    gc.collect()
    {way}
ended(child)
hears("b")
say(a=under_way.result(30).video_url)
"""
    helpers = """
import asyncio
async def nothing():
    pass
async def everything():
    return [task for task in asyncio.all_tasks() if "retrieve" in str(task.get_coro())]
"""
    with Vendor({"a"}, {"a", "b"}) as vendor:
        said = in_a_process(ASKS + helpers + script, f"http://127.0.0.1:{vendor.port}", tmp_path)
    assert said == {name: f"https://x.example/{name}.mp4" for name in "ab"}


def test_children_make_clips_of_their_own_after_their_parent_made_one(server, tmp_path):
    script = """
make("first")
children = [forked(lambda: make("second")), forked(lambda: make("third"))]
make("fourth")
ended(*children)
"""
    assert len(set(in_a_process(script, server.url, tmp_path).values())) == 4
    assert len(submissions(server)) == 4


def test_a_child_waits_for_what_its_parent_has_under_way(serve, tmp_path):
    server = serve(time_factor=60)  # a clip takes 3 s
    script = """
generation = kw.submit(picture(), "same", api_key=key, base_url=url, workspace=folder, progress=False)
while generation.id is None:
    time.sleep(0.01)
def wait():
    say(held=generation.wait(50).path.name)
children = [forked(wait), forked(lambda: make("same"))]
say(parent=generation.wait(50).path.name)
ended(*children)
"""
    said = in_a_process(script, server.url, tmp_path)
    assert set(said) == {"held", "same", "parent"}
    assert len(set(said.values())) == 1
    assert len(submissions(server)) == 1


def test_a_child_has_what_its_parent_had_made(server, tmp_path):
    script = """
made = kw.submit(picture(), "made", api_key=key, base_url=url, workspace=folder, progress=False)
failed = kw.submit(picture(), "[fail]", api_key=key, base_url=url, workspace=folder, progress=False)
made.wait(50)
try:
    failed.wait(50)
except kw.GenerationFailedError:
    pass
def wait():
    say(made=made.wait(50).path.name)
    try:
        failed.wait(50)
    except kw.GenerationFailedError as error:
        say(failed=str(error))
ended(forked(wait))
"""
    said = in_a_process(script, server.url, tmp_path)
    assert said["made"].endswith(".mp4")
    assert "Not made" in said["failed"]


def test_what_its_parent_was_sending_when_it_was_killed_is_looked_up_by_the_child_and_not_sent_again(serve, tmp_path):
    server = serve(time_factor=60)
    server.simulator.faults.add(Fault("submit", "hang", seconds=30.0, accepted=True))
    script = """
def parent():
    generation = kw.submit(picture(), "same", api_key=key, base_url=url, workspace=folder, progress=False)
    forked(lambda: say(child=generation.wait(50).path.name))
    while b"POST" not in urllib.request.urlopen(url + "/_simulator/requests").read():
        time.sleep(0.02)
    os.kill(os.getpid(), signal.SIGKILL)
assert os.waitpid(forked(parent), 0)[1] == signal.SIGKILL
"""
    assert in_a_process(script, server.url, tmp_path)["child"].endswith(".mp4")  # when nobody has its output any more
    assert len(submissions(server)) == 1


def test_the_simulator_in_this_process_goes_on_in_a_child(tmp_path):
    script = """
import av  # what another thread is importing at the fork stays locked in the child: Python's own
options = dict(simulate=True, workspace=folder, progress=False)
generation = kw.submit(picture(), "parent's", **options)
while generation.id is None:
    time.sleep(0.01)
def work():
    say(child=kw.generate(picture(), "child's", timeout=50, **options).path.name)
    say(held=generation.wait(50).path.name)
child = forked(work)
say(parent=generation.wait(50).path.name)
ended(child)
"""
    said = in_a_process(script, "", tmp_path)
    assert said["held"] == said["parent"] != said["child"]
