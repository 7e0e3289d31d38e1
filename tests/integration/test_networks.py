"""The networks people sit in: proxies, company certificates, HTTP/1.1 only, and laptops that sleep."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme

from kling_widget import (
    AuthenticationError,
    Client,
    DownloadError,
    ImageToVideoRequest,
    InvalidRequestError,
    ServerError,
    Studio,
    background,
)
from kling_widget.simulator import Fault, SimulatorServer
from tests.integration.conftest import KEY, submissions
from tests.integration.hostile_servers import Proxy, Scripted, Tls, head, whole
from tests.integration.simulator_fixtures import data_uri, picture

NAMES = (f"{scheme}_PROXY" for scheme in ("HTTP", "HTTPS", "ALL", "NO"))
SETTINGS = [*(each for name in NAMES for each in (name, name.lower())), "SSL_CERT_FILE", "SSL_CERT_DIR"]
VENDOR = "vendor.example"
"""A name that resolves nowhere: only a proxy can lead there."""


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy and no certificates of whoever runs the tests."""
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """A company's own certificate authority."""
    return trustme.CA()


@pytest.fixture
def secured(authority: trustme.CA, server: SimulatorServer) -> Iterator[Tls]:
    """The simulator behind TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", VENDOR).configure_cert(context)
    with Tls(context, int(server.url.rpartition(":")[2])) as door:
        yield door


@pytest.fixture
def certificate(authority: trustme.CA, tmp_path: Path) -> Path:
    """The authority's certificate, as a company's IT gives it to people."""
    path = tmp_path / "company.pem"
    authority.cert_pem.write_to_path(path)
    return path


def until(condition: Callable[[], object]) -> None:
    """Wait; the simulator's videos are at plain http, which is not asked for from https."""
    ends = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.02)


def request() -> ImageToVideoRequest:
    return ImageToVideoRequest(image_url=data_uri(picture()), prompt="a quiet harbour")


async def make(client: Client, target: Path) -> bytes:
    """Submit, poll, download: everything that goes over the network."""
    from kling_widget.download import download

    task = await client.create(request())
    await asyncio.sleep(0.5)  # a clip takes 0.3 s
    task = await client.retrieve(task.id)
    return (await download(client, task.video_url, target)).read_bytes()


async def test_a_companys_certificate_in_SSL_CERT_FILE_is_enough(secured, certificate, server, tmp_path, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    async with Client(KEY, secured.url) as client:
        task = await client.create(request())
        assert (await client.retrieve(task.id)).status
    assert len(submissions(server)) == 1


async def test_or_a_folder_of_certificates_in_SSL_CERT_DIR(secured, certificate, server, tmp_path, monkeypatch):
    folder = tmp_path / "certificates"
    folder.mkdir()
    subprocess_hash = _subject_hash(certificate)
    (folder / f"{subprocess_hash}.0").write_bytes(certificate.read_bytes())
    monkeypatch.setenv("SSL_CERT_DIR", str(folder))
    async with Client(KEY, secured.url) as client:
        assert (await client.create(request())).id
    assert len(submissions(server)) == 1


def _subject_hash(certificate: Path) -> str:
    """The name under which OpenSSL looks for it (`openssl rehash`)."""
    told = subprocess.run(
        ["openssl", "x509", "-subject_hash", "-noout", "-in", certificate], capture_output=True, check=True, text=True
    )
    return told.stdout.strip()


async def test_without_it_the_certificate_is_named_once_and_nothing_was_delivered(secured, server):
    waits: list[float] = []
    async with Client(KEY, secured.url) as client:
        with pytest.raises(ServerError, match=r"cannot be reached: its certificate is not trusted") as caught:
            await client.create(request(), on_wait=waits.append)
        assert "SSL_CERT_FILE" in caught.value.hint
        assert not caught.value.may_have_cost
        with pytest.raises(ServerError, match="certificate"):
            await client.retrieve("abc")
    assert (secured.handshakes, waits) == (2, [])
    assert not server.simulator.requests


async def test_a_generation_that_met_no_trusted_certificate_is_rejected_not_unknown(secured, server, tmp_path):
    studio = Studio(api_key=KEY, base_url=secured.url, workspace=tmp_path / "clips")
    generation = studio.submit(picture(), "a quiet harbour")
    with pytest.raises(ServerError, match="certificate"):
        generation.wait(30)
    assert generation.status == "rejected"
    assert secured.handshakes <= 2  # the submission, and the balance that the estimate may ask for
    assert not server.simulator.requests


async def test_calls_go_through_a_proxy_that_knows_CONNECT_only_and_does_not_see_the_key(
    authority, certificate, monkeypatch
):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(VENDOR).configure_cert(context)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    answer = whole(json.dumps({"id": "abc", "status": "queued"}).encode(), 201)
    with (
        Scripted(lambda _: iter([answer])) as vendor,
        Tls(context, vendor.port) as door,
        Proxy({f"{VENDOR}:443": door.port}) as proxy,
    ):
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        async with Client(KEY, f"https://{VENDOR}") as client:
            task = await client.create(request())
            assert (await client.retrieve(task.id)).status == "queued"
    assert [line.split()[:2] for line in proxy.seen] == 2 * [[b"CONNECT", f"{VENDOR}:443".encode()]]
    assert not [line for line in proxy.seen if KEY.encode() in line]
    assert all(f"Bearer {KEY}".encode() in line for line in vendor.seen)
    assert len(vendor.seen) == 2


async def test_a_video_comes_through_the_proxy_too(authority, certificate, tmp_path, monkeypatch):
    from kling_widget.download import download
    from tests.integration.test_hostile import mp4

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("storage.example").configure_cert(context)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with (
        Scripted(lambda _: iter([whole(mp4())])) as storage,
        Tls(context, storage.port) as door,
        Proxy({"storage.example:443": door.port}) as proxy,
    ):
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        async with Client(KEY, f"https://{VENDOR}") as client:
            saved = await download(client, "https://storage.example/clip.mp4", tmp_path / "clip.mp4")
    assert saved.read_bytes() == mp4()
    assert not [line for line in storage.seen if b"authorization" in line.lower()]


async def test_a_video_behind_a_certificate_that_is_not_trusted_is_told_at_once(secured, server, tmp_path):
    """No waiting mends that."""
    from kling_widget.download import BrokenOffError, download

    async with Client(KEY, server.url) as client:
        with pytest.raises(
            DownloadError, match="localhost cannot be reached, its certificate is not trusted"
        ) as caught:
            await download(client, f"{secured.url}/clip.mp4", tmp_path / "clip.mp4")
    assert "SSL_CERT_FILE" in caught.value.hint
    assert not isinstance(caught.value, BrokenOffError)


@pytest.mark.parametrize("exempt", ["localhost", "*", "example.org, localhost"])
async def test_what_NO_PROXY_names_is_asked_directly(exempt, secured, certificate, server, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with Proxy({}) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", exempt)
        async with Client(KEY, secured.url) as client:
            await client.create(request())
        assert not proxy.seen


@pytest.mark.parametrize("setting", ["HTTP_PROXY", "ALL_PROXY"])
async def test_what_is_on_this_machine_never_goes_through_a_proxy_which_would_see_the_key(
    setting, server, tmp_path, monkeypatch
):
    with Proxy({}) as proxy:
        monkeypatch.setenv(setting.lower(), proxy.url)
        async with Client(KEY, server.url) as client:
            assert len(await make(client, tmp_path / "clip.mp4")) > 1000
        assert not proxy.seen


@pytest.mark.parametrize(
    ("status", "asked"), [(407, 1), (403, 1), (502, 5)], ids=["wants a password", "forbids", "is out of order"]
)
async def test_a_proxy_that_refuses_is_named_and_nothing_was_delivered(status, asked, monkeypatch):
    monkeypatch.setattr("kling_widget.client.retry.backoff", lambda *_: 0.01)
    with Proxy({}, refuse=head(status)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        async with Client(KEY, f"https://{VENDOR}") as client:
            with pytest.raises(ServerError, match=rf"the proxy refused \({status}") as caught:
                await client.create(request())
        assert not caught.value.may_have_cost
        assert len(proxy.seen) == asked


async def test_a_proxy_that_is_not_there_is_a_server_that_cannot_be_reached(monkeypatch):
    monkeypatch.setattr("kling_widget.client.retry.backoff", lambda *_: 0.01)
    with Proxy({}) as proxy:
        gone = proxy.url
    monkeypatch.setenv("HTTPS_PROXY", gone)
    async with Client(KEY, f"https://{VENDOR}") as client:
        with pytest.raises(ServerError, match="cannot be reached"):
            await client.create(request())


def test_a_proxy_that_is_corrected_is_used_by_the_next_call(authority, certificate, tmp_path, monkeypatch):
    """Also where the key was given: it stays."""
    monkeypatch.setattr("kling_widget.client.retry.backoff", lambda *_: 0.01)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(VENDOR).configure_cert(context)
    with Proxy({}) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)  # which is gone in a moment
    studio = Studio(api_key=KEY, base_url=f"https://{VENDOR}", workspace=tmp_path / "clips")
    with pytest.raises(ServerError, match="cannot be reached"):
        studio.submit(picture(), "a quiet harbour").wait(30)
    answer = whole(json.dumps({"id": "abc", "status": "queued"}).encode(), 201)
    with (
        Scripted(lambda _: iter([answer])) as vendor,
        Tls(context, vendor.port) as door,
        Proxy({f"{VENDOR}:443": door.port}) as proxy,
    ):
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        generation = studio.submit(picture(), "a quiet harbour")
        until(lambda: generation.id == "abc")
        assert sum(f"Bearer {KEY}".encode() in line for line in vendor.seen if line.startswith(b"POST")) == 1


def test_a_certificate_that_is_named_at_last_is_trusted_by_the_next_call(
    secured, certificate, server, tmp_path, monkeypatch
):
    studio = Studio(api_key=KEY, base_url=secured.url, workspace=tmp_path / "clips")
    with pytest.raises(ServerError, match="certificate"):
        studio.submit(picture(), "a quiet harbour").wait(30)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    generation = studio.submit(picture(), "a quiet harbour")
    until(lambda: generation.row.status == "completed")
    assert len(submissions(server)) == 1


def test_settings_that_cannot_be_used_leave_what_is_under_way_its_connections(
    secured, certificate, server, tmp_path, monkeypatch
):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    monkeypatch.setenv("AIMLAPI_KEY", KEY)
    studio = Studio(base_url=secured.url, workspace=tmp_path / "clips")
    server.simulator.faults.add(Fault("retrieve", "word", times=5), Fault("billing", "status_code", code=401))
    generation = studio.submit(picture(), "a quiet harbour")
    with pytest.raises(AuthenticationError):
        studio.balance()
    monkeypatch.setenv("HTTPS_PROXY", "gopher://127.0.0.1:1")
    with pytest.raises(InvalidRequestError, match="HTTPS_PROXY"):
        studio.submit(picture(), "a storm")
    until(lambda: generation.row.status == "completed")
    assert len(submissions(server)) == 1


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("SSL_CERT_FILE", "/nowhere/company.pem"),
        ("SSL_CERT_FILE", __file__),
        ("HTTPS_PROXY", "gopher://127.0.0.1:1"),
        ("HTTPS_PROXY", "http://[::1"),
        ("ALL_PROXY", "nonsense://x"),
    ],
)
def test_settings_of_the_network_that_cannot_be_used_are_told_in_a_sentence(setting, value, monkeypatch):
    monkeypatch.setenv(setting, value)
    with pytest.raises(InvalidRequestError, match=r"HTTPS_PROXY|SSL_CERT_FILE"):
        Client(KEY, f"https://{VENDOR}")


# Sleep


SLEEPER = """
import sys
from kling_widget import Studio, polling
studio = Studio(api_key=sys.argv[1], base_url=sys.argv[2], workspace=sys.argv[3])
generation = studio.submit(sys.argv[4], "a quiet harbour")
generation.on_change(lambda generation: print(generation.status, flush=True))
print(generation.wait(60).path, flush=True)
"""


def test_a_process_that_was_put_to_sleep_goes_on_where_it_was(serve, tmp_path):
    server = serve(time_factor=60)  # a clip takes 3 s
    (tmp_path / "cat.png").write_bytes(picture())
    arguments = [KEY, server.url, str(tmp_path / "clips"), str(tmp_path / "cat.png")]
    with subprocess.Popen([sys.executable, "-c", SLEEPER, *arguments], stdout=subprocess.PIPE, text=True) as child:
        try:
            while "queued" not in child.stdout.readline():
                assert child.poll() is None
            os.kill(child.pid, signal.SIGSTOP)
            time.sleep(6)  # longer than the clip takes, and than the server keeps an idle connection open
            os.kill(child.pid, signal.SIGCONT)
            told = child.stdout.read()
        finally:
            child.kill()
    video = Path(told.splitlines()[-1])
    assert video.is_file()
    assert len(submissions(server)) == 1


async def test_connections_that_died_meanwhile_do_not_swallow_a_submission(server):
    """After sleep a kept connection looks alive, and is not: whatever is written to it is lost."""
    from tests.integration.hostile_servers import Door, read_request

    class Forgetful(Door):
        """Answers the first request on a connection and loses all others, as a router does that was restarted."""

        posts = 0

        def serve(self, connection):
            requests = 0
            while True:
                verb = read_request(connection).split()[0]
                requests += 1
                if requests > 1:
                    continue
                self.posts += verb == b"POST"
                body = json.dumps({"id": "abc", "status": "queued"}).encode()
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    with Forgetful() as router:
        async with Client(KEY, f"http://127.0.0.1:{router.port}") as client:
            await client.retrieve("abc")
            for _ in range(3):
                assert (await asyncio.wait_for(client.create(request()), 10)).id == "abc"
        assert router.posts == 3


JUMPS = {"an hour": 3600.0, "back an hour": -3600.0, "a month": 30 * 86_400.0}
MOMENTS = {  # when the clock jumps: the row is written and nothing sent; accepted and never asked for; in the making
    "before it leaves": lambda row: row is not None,
    "when accepted": lambda row: row is not None and row.accepted is not None,
    "while it is made": lambda row: row is not None and row.status == "generating",
}


@pytest.mark.parametrize("jump", JUMPS.values(), ids=JUMPS)
@pytest.mark.parametrize("reached", MOMENTS.values(), ids=MOMENTS)
def test_a_clock_that_jumps_stops_nothing(reached, jump, serve, tmp_path, monkeypatch):
    server = serve(time_factor=60)
    server.simulator.clock = time.time  # the vendor's clock is right
    studio = Studio(api_key=KEY, base_url=server.url, workspace=tmp_path / "clips")
    real, generations = time.time, studio._generations  # which knows a generation as soon as its row is written

    def clock():
        return real() + (jump if any(reached(each.row) for each in list(generations.values())) else 0.0)

    monkeypatch.setattr(time, "time", clock)
    generation = studio.submit(picture(), "a quiet harbour")
    assert generation.wait(60).size > 1000
    assert generation.elapsed < 60
    assert len(submissions(server)) == 1


def test_an_hour_asleep_between_two_questions_is_no_reason_to_stop(serve, tmp_path, monkeypatch):
    """Where the monotonic clock goes on in sleep, as on Windows, all clocks are an hour ahead at once."""
    server = serve(time_factor=1)  # a clip takes three minutes: awake, this test would not see its end
    studio = Studio(api_key=KEY, base_url=server.url, workspace=tmp_path / "clips")
    generation = studio.submit(picture(), "a quiet harbour")
    while generation.status == "submitting":
        time.sleep(0.02)
    time.sleep(1)  # now it waits for the time to ask; what falls asleep in the middle of a question is another test
    monotonic, wall = time.monotonic, time.time
    monkeypatch.setattr(time, "monotonic", lambda: monotonic() + 3600)
    monkeypatch.setattr(time, "time", lambda: wall() + 3600)
    server.simulator.clock = time.time
    background.call(lambda: None)  # the operating system ends all waiting on waking up
    assert generation.wait(30).size > 1000
    assert len(submissions(server)) == 1
