"""A key, or a proxy, that was wrong is looked for anew by the next call; what is under way is not disturbed by that."""

from __future__ import annotations

import importlib
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import kling_widget as kw
from kling_widget.credentials import KEY_NAMES, ApiKey
from kling_widget.simulator import Fault, SimulatorServer
from tests.integration.conftest import KEY, Serve, submissions
from tests.integration.simulator_fixtures import picture

DEADLINE = 60.0  # seconds; most takes one
SLOW = 20_000.0  # bytes a second: a clip of the simulator takes a moment
OTHER = "sk-test-another"


@pytest.fixture
def keys() -> set[str]:
    """The keys that the vendor knows just now."""
    return {KEY, OTHER}


@pytest.fixture
def server(serve: Serve, keys: set[str]) -> SimulatorServer:
    return serve(api_keys=keys)


@pytest.fixture
def settings(server: SimulatorServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Of every call here; the key is in the environment, and wrong."""
    for name in KEY_NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(KEY_NAMES[0], "sk-wrong")
    return {"base_url": server.url, "workspace": tmp_path / "clips", "progress": False}


def downloads(server: SimulatorServer) -> list[str]:
    """The paths of all videos that were asked for."""
    return [request.path for request in server.simulator.requests if request.path.endswith(".mp4")]


def until(condition: Callable[[], object]) -> None:
    ends = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.01)


def test_a_key_in_the_environment_that_was_refused_is_read_anew(settings, server, monkeypatch):
    for _ in range(2):
        with pytest.raises(kw.AuthenticationError):
            kw.generate(picture(), "a quiet harbour", **settings)
    monkeypatch.setenv(KEY_NAMES[0], KEY)
    assert kw.generate(picture(), "a quiet harbour", **settings).path.exists()
    assert len(server.simulator.tasks) == 1


def test_so_it_is_where_a_question_was_refused(settings, monkeypatch):
    studio = kw.Studio(base_url=settings["base_url"], workspace=settings["workspace"])
    with pytest.raises(kw.AuthenticationError):
        studio.balance()
    monkeypatch.setenv(KEY_NAMES[0], KEY)
    assert studio.balance() > 0


def test_a_key_that_is_nowhere_any_more_is_a_missing_key(settings, monkeypatch):
    with pytest.raises(kw.AuthenticationError):
        kw.generate(picture(), "a quiet harbour", **settings)
    monkeypatch.delenv(KEY_NAMES[0])
    with pytest.raises(kw.MissingKeyError):
        kw.generate(picture(), "a quiet harbour", **settings)
    monkeypatch.setenv(KEY_NAMES[0], KEY)
    assert kw.generate(picture(), "a quiet harbour", **settings).path.exists()


def test_a_key_that_was_given_stays(settings, monkeypatch):
    with pytest.raises(kw.AuthenticationError):
        kw.generate(picture(), "a quiet harbour", api_key="sk-given", **settings)
    monkeypatch.setenv(KEY_NAMES[0], KEY)
    with pytest.raises(kw.AuthenticationError):
        kw.generate(picture(), "a quiet harbour", **settings)
    assert kw.generate(picture(), "a quiet harbour", api_key=OTHER, **settings).path.exists()


def test_a_widget_that_is_opened_again_brings_the_key_that_it_finds(settings, server, monkeypatch):
    """In Colab only a cell may ask for secrets: the thread that submits cannot look for the new one itself."""
    del settings["progress"]
    widget = kw.KlingWidget(picture(), "a quiet harbour", **settings)
    with pytest.raises(kw.AuthenticationError):
        widget.generate().wait(DEADLINE)
    widget.close()
    monkeypatch.setenv(KEY_NAMES[0], KEY)
    again = kw.KlingWidget(picture(), "a quiet harbour", **settings)
    monkeypatch.delenv(KEY_NAMES[0])
    assert again.generate().wait(DEADLINE).path.exists()
    again.close()
    assert len(server.simulator.tasks) == 1


def test_a_keyring_is_asked_again_only_after_a_refusal(settings, server, monkeypatch):
    monkeypatch.delenv(KEY_NAMES[0])
    keyring = importlib.import_module("keyring")
    monkeypatch.setitem(sys.modules, "keyring", keyring)
    held, asked = ["sk-wrong"], []
    monkeypatch.setattr(keyring, "get_password", lambda _, name: asked.append(name) or held[0])
    studio = kw.Studio(base_url=server.url, workspace=settings["workspace"])
    for count in (1, 2):
        with pytest.raises(kw.AuthenticationError):
            studio.submit(picture(), "a quiet harbour").wait(DEADLINE)
        assert len(asked) == count
    held[0] = KEY
    for number in range(3):
        studio.submit(picture(), f"harbour {number}").wait(DEADLINE)
    assert len(asked) == 3


# What is under way


def test_what_is_under_way_is_not_disturbed_and_its_connections_are_closed_when_it_is_over(
    settings, server, monkeypatch
):
    monkeypatch.setenv(KEY_NAMES[0], KEY)
    server.simulator.faults.add(Fault("download", "slow", bytes_per_second=SLOW))
    studio = kw.Studio(base_url=server.url, workspace=settings["workspace"])
    first = studio.submit(picture(), "a quiet harbour")
    until(lambda: downloads(server))
    [path] = downloads(server)
    old = studio.client
    server.simulator.faults.add(Fault("submit", "status_code", code=401))
    with pytest.raises(kw.AuthenticationError):
        studio.submit(picture(), "a storm").wait(DEADLINE)
    second = studio.submit(picture(), "a storm")
    assert studio.client is not old
    assert first.video is None
    assert not old._files.is_closed
    first.wait(DEADLINE)
    assert downloads(server).count(path) == 1
    until(lambda: all(each.is_closed for each in (old._http, old._posts, old._files)))
    second.wait(DEADLINE)


@pytest.mark.skipif(sys.platform != "linux", reason="counts what /proc/self/fd lists")
def test_keys_that_are_replaced_leave_no_connection_open(settings, server):
    studio = kw.Studio(api_key=KEY, base_url=server.url, workspace=settings["workspace"])

    def sockets() -> int:
        folder = "/proc/self/fd"
        return sum(os.readlink(f"{folder}/{name}").startswith("socket:") for name in os.listdir(folder) if exists(name))

    def exists(name: str) -> bool:
        return os.path.lexists(f"/proc/self/fd/{name}")

    studio.balance()
    before = sockets()
    for number in range(10):
        studio.use_key(ApiKey((OTHER, KEY)[number % 2]))
        studio.balance()
    until(lambda: sockets() <= before)


def test_a_key_that_is_revoked_while_a_clip_is_made_is_replaced_and_the_clip_goes_on(
    settings, server, keys, monkeypatch
):
    monkeypatch.setenv(KEY_NAMES[0], KEY)
    studio = kw.Studio(base_url=server.url, workspace=settings["workspace"])
    server.simulator.faults.add(Fault("retrieve", "word", word="generating", times=3))
    generation = studio.submit(picture(), "a quiet harbour")
    until(lambda: generation.id)
    keys.discard(KEY)
    with pytest.raises(kw.AuthenticationError) as caught:
        generation.wait(DEADLINE)
    assert generation.status == "stopped"
    told = str(caught.value)
    assert generation.id in told
    assert f"kw.resume({generation.id!r})" in told
    with pytest.raises(kw.AuthenticationError):
        generation.wait(DEADLINE)
    monkeypatch.setenv(KEY_NAMES[0], OTHER)
    assert generation.wait(DEADLINE).path.exists()
    assert len(submissions(server)) == 1


@pytest.mark.parametrize("way", ["environment", "argument"])
def test_or_resumed_by_its_id(settings, server, keys, monkeypatch, way):
    monkeypatch.setenv(KEY_NAMES[0], KEY)
    server.simulator.faults.add(Fault("retrieve", "word", word="generating", times=3))
    generation = kw.submit(picture(), "a quiet harbour", **settings)
    until(lambda: generation.id)
    keys.discard(KEY)
    with pytest.raises(kw.AuthenticationError):
        generation.wait(DEADLINE)
    given = {"api_key": OTHER} if way == "argument" else {}
    if not given:
        monkeypatch.setenv(KEY_NAMES[0], OTHER)
    assert kw.resume(generation.id, **settings, **given).wait(DEADLINE).path.exists()
    assert len(submissions(server)) == 1


def test_one_that_is_revoked_when_a_fresh_address_is_asked_for_tells_the_same(settings, server, keys, monkeypatch):
    monkeypatch.setenv(KEY_NAMES[0], KEY)
    server.simulator.faults.add(Fault("download", "expired"))
    studio = kw.Studio(base_url=server.url, workspace=settings["workspace"])
    generation = studio.submit(picture(), "a quiet harbour")
    generation.on_change(lambda each: each.status == "downloading" and keys.discard(KEY))
    with pytest.raises(kw.AuthenticationError, match=r"kw\.resume\("):
        generation.wait(DEADLINE)
    monkeypatch.setenv(KEY_NAMES[0], OTHER)
    assert generation.wait(DEADLINE).path.exists()
    assert len(submissions(server)) == 1
