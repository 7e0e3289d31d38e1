"""The key is in no file, log line, repr or traceback, whatever goes wrong."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

import kling_widget as kw
from kling_widget.client import Client
from kling_widget.credentials import KEY_NAMES, ApiKey
from kling_widget.request import ImageToVideoRequest
from kling_widget.simulator import Fault, SimulatorServer

from .simulator_fixtures import data_uri, picture, small

PARTS = ("sk-seCretKEY", "7f3a9c0d51e2")
"""The key in two halves, so that it is in no source line that a traceback shows."""

NOBODY = "http://127.0.0.1:9"
DEEP: dict[str, Any] = {"max_group_depth": 99} if sys.version_info >= (3, 11) else {}
"""All of an exception group, which Python has from 3.11 on."""
"""The discard port, where nothing listens."""


def the_key() -> str:
    return "-".join(PARTS)


@pytest.fixture
def server() -> Iterator[SimulatorServer]:
    with SimulatorServer(small(time_factor=186, api_keys=frozenset({the_key()}))) as server:
        yield server


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], str]]:
    """Everything that any logger says at DEBUG, with the arguments of each line spelled out."""
    with caplog.at_level(logging.DEBUG):
        for name in ("httpx", "httpcore", "kling_widget", "asyncio", "sqlalchemy.engine", "PIL"):
            caplog.set_level(logging.DEBUG, name)
        yield lambda: caplog.text + "".join(f"{record.args!r}{record.exc_text}" for record in caplog.records)


def everything_of(error: BaseException | None) -> str:
    """All a traceback can show: every error behind it, suppressed or not, with the locals of every frame."""
    text, seen = "", set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        shown = traceback.TracebackException(
            type(error), error, from_pytest(error.__traceback__), capture_locals=True, **DEEP
        )
        text += "".join(shown.format()) + repr(error) + str(error) + repr(vars(error)) + repr(error.args)
        error = error.__cause__ or error.__context__
    return text


def from_pytest(frames: TracebackType | None) -> TracebackType | None:
    """The frames below this file's own: a test may hold the key."""
    while frames is not None and frames.tb_frame.f_code.co_filename == __file__:
        frames = frames.tb_next
    return frames


def assert_hidden(text: str) -> None:
    for part in PARTS:
        assert part not in text, text[max(0, text.index(part) - 500) : text.index(part) + 100]


def assert_no_file_holds_it(folder: Path) -> None:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    for path in files:
        for part in PARTS:
            assert part.encode() not in path.read_bytes(), path


@pytest.fixture(params=["argument", "environment"])
def settings(request: pytest.FixtureRequest, server: SimulatorServer, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """The two ways to give a key in a script."""
    given: dict[str, Any] = {"base_url": server.url, "workspace": tmp_path, "progress": False}
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "environment":
            patch.setenv(KEY_NAMES[0], the_key())
            yield given
        else:
            yield {**given, "api_key": the_key()}


def test_a_generation_leaves_the_key_in_no_file_log_line_or_repr(
    settings: dict[str, Any], logged: Callable[[], str], tmp_path: Path
) -> None:
    generation = kw.submit(picture(), "a quiet harbour", **settings)
    video = generation.wait(60)
    studio = generation._course._studio
    things = [generation, generation.row, video, video.metadata, studio, studio.workspace, studio.client, vars(studio)]
    things += [vars(studio.client), vars(studio.client._http), studio.client._http.headers, vars(generation._course)]
    assert_hidden(repr(things))
    assert "send_request_headers" in logged()  # httpcore did tell what it does
    assert_hidden(logged())
    assert (tmp_path / "ledger.sqlite").exists()
    assert_no_file_holds_it(tmp_path)


def test_a_key_hides_itself_from_every_way_to_write_it_down() -> None:
    import copy
    import pickle

    key = ApiKey(the_key())
    assert_hidden(f"{key} {key!r} {[key]!r} {key!s:>50}")
    for write in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="never pickled"):
            write(key)


FAULTS: dict[str, list[Fault]] = {
    "401": [Fault("submit", "status_code", code=401)],
    "403": [Fault("submit", "status_code", code=403)],
    "400": [Fault("submit", "status_code", code=400)],
    "500": [Fault("submit", "status_code", code=500), Fault("logs", "status_code", code=500, times=None)],
    "no answer": [Fault("submit", "drop_before"), Fault("logs", "status_code", code=401, times=None)],
    "garbage": [Fault("submit", "garbage"), Fault("logs", "drop_before", times=None)],
    "unknown id": [Fault("retrieve", "status_code", code=401, times=None)],
    "made badly": [Fault("retrieve", "status_code", code=403, times=None)],
    "lost video": [Fault("download", "status_code", code=404, times=None)],
}


@pytest.mark.parametrize("name", FAULTS)
def test_no_failed_generation_shows_the_key(
    name: str, server: SimulatorServer, logged: Callable[[], str], tmp_path: Path
) -> None:
    server.simulator.faults.add(*FAULTS[name])
    key = the_key()
    with pytest.raises(kw.KlingError) as caught:
        kw.generate(
            picture(),
            "a quiet harbour",
            api_key=key,
            base_url=server.url,
            workspace=tmp_path,
            progress=False,
            timeout=8,
        )
    assert_hidden(everything_of(caught.value))
    assert_hidden(logged())
    assert_no_file_holds_it(tmp_path)


@pytest.mark.parametrize(
    "fields", [{"duration": 7}, {"cfg_scale": 1.2}, {"prompt": ""}, {"image": b""}, {"base_url": "http://example.com"}]
)
@pytest.mark.parametrize("call", [kw.generate, kw.submit])
def test_no_refused_request_shows_the_key(call: Callable[..., Any], fields: dict[str, Any], tmp_path: Path) -> None:
    key = the_key()
    good = {"image": picture(), "prompt": "a quiet harbour", "base_url": NOBODY, "progress": False}
    with pytest.raises(kw.KlingError) as caught:
        call(**{**good, **fields}, workspace=tmp_path, api_key=key)
    assert_hidden(everything_of(caught.value))


@pytest.mark.parametrize("key", ["-".join(PARTS) + "\nexport B=2", " ".join(PARTS), "“" + "-".join(PARTS) + "”"])
@pytest.mark.parametrize("given", ["argument", "environment"])
def test_a_key_that_was_copied_badly_is_not_shown_either(
    key: str, given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: dict[str, Any] = {"base_url": NOBODY, "workspace": tmp_path}
    if given == "environment":
        monkeypatch.setenv(KEY_NAMES[0], key)
    else:
        settings["api_key"] = key
    for call in (
        lambda: kw.generate(picture(), "a quiet harbour", **settings),
        lambda: kw.submit(picture(), "a quiet harbour", **settings),
        lambda: kw.resume("some-id", **settings),
        lambda: kw.KlingWidget(**settings),
        lambda: Client(settings.get("api_key"), NOBODY),
    ):
        with pytest.raises(kw.AuthenticationError) as caught:
            call()
        assert_hidden(everything_of(caught.value))


async def calls(client: Client) -> list[BaseException]:
    """What each of the client's calls raises."""
    request = ImageToVideoRequest(image_url=data_uri(picture()), prompt="a quiet harbour")
    raised: list[BaseException] = []
    for call in (
        lambda: client.create(request),
        lambda: client.retrieve("some-id"),
        lambda: client.find("kw-1", 0.0),
        client.balance,
    ):
        try:
            await call()
        except kw.KlingError as error:
            raised.append(error)
    return raised


async def test_no_error_of_the_client_shows_the_key(
    server: SimulatorServer, logged: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kling_widget.retry.submission_delay", lambda *_: None)  # asked once is enough here
    wrong = the_key() + "-but-wrong"
    async with Client(wrong, server.url) as client:
        raised = await calls(client)
    assert [type(error) for error in raised] == [kw.AuthenticationError] * 4
    async with Client(the_key(), NOBODY) as client:
        raised += await calls(client)
    for where in ("submit", "retrieve", "logs", "billing"):
        server.simulator.faults.add(Fault(where, "status_code", code=500), Fault(where, "drop_after"))  # type: ignore[arg-type]
    async with Client(the_key(), server.url) as client:
        raised += await calls(client) + await calls(client)
    assert len(raised) == 16
    for error in raised:
        assert_hidden(everything_of(error))
    assert_hidden(logged())


def test_ipython_shows_no_key_at_its_most_verbose(server: SimulatorServer, tmp_path: Path) -> None:
    script = f"""
import os, sys
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.run_line_magic("xmode", "Verbose")
shell.run_cell("import kling_widget as kw, os")
for settings in ("duration=7", "workspace='/dev/null/nowhere'", "base_url='ftp://x'", "timeout=0.001",
                 "prompt='x' * 9000", "take=0", "base_url=5"):
    call = "kw.generate(**{{**dict(image={str(tmp_path / "harbour.png")!r}, prompt='x'), **dict(" + settings + ")}})"
    shell.run_cell(call)
    shell.run_cell(call.replace("**{{", "api_key='-'.join(open({str(tmp_path / "parts")!r}).read().split()), **{{", 1))
"""
    (tmp_path / "harbour.png").write_bytes(picture())
    (tmp_path / "parts").write_text(" ".join(PARTS), encoding="utf-8")
    environment = {
        **os.environ,
        KEY_NAMES[0]: the_key(),
        "KLING_WIDGET_BASE_URL": server.url,
        "KLING_WIDGET_WORKSPACE": str(tmp_path / "work"),
        "IPYTHONDIR": str(tmp_path / "ipython"),
    }
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, check=True)
    said = done.stdout + done.stderr
    assert said.count("Traceback") >= 14, said
    assert "ApiKey(hidden)" in said  # so locals were shown
    assert_hidden(said)


def test_the_key_reaches_the_vendor_and_nobody_else(server: SimulatorServer, tmp_path: Path) -> None:
    """Videos lie on other hosts: their requests carry no key."""
    generation = kw.submit(picture(), "x", api_key=the_key(), base_url=server.url, workspace=tmp_path, progress=False)
    generation.wait(60)
    for request in server.simulator.requests:
        assert ("authorization" in request.headers) == request.path.startswith("/v2/"), request.path
