"""A vendor, a storage or a page that means no good: answers are bounded, redirects are checked, the key stays."""

from __future__ import annotations

import gzip
import json
import socket
import zlib
from collections.abc import Iterator

import pytest

from kling_widget import (
    Client,
    DownloadError,
    ImageToVideoRequest,
    KlingError,
    ServerError,
    SubmissionUnknownError,
    connections,
    download,
)
from kling_widget.simulator import SimulatorServer
from tests.integration.conftest import KEY
from tests.integration.hostile_servers import Scripted, head, whole

REQUEST = ImageToVideoRequest(image_url="https://example.org/cat.png", prompt="a quiet harbour")
ENOUGH = 64 << 20
"""Bytes that a bounded reader never takes: limit and the buffers of both sockets together are far below."""


def endless(start: bytes, piece: bytes = b" " * 65536) -> Iterator[bytes]:
    yield start
    while True:
        yield piece


def zeros_packed(size: int) -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    return b"".join(packer.compress(bytes(1 << 20)) for _ in range(size >> 20)) + packer.flush()


BOMB = zeros_packed(256 << 20)
TOO_MUCH = {
    "endless body": lambda _: endless(head() + b'{"id": "'),
    "endless chunks": lambda _: endless(head(Transfer_Encoding="chunked"), b"10000\r\n" + b" " * 65536 + b"\r\n"),
    "announced gigabytes": lambda _: endless(head(Content_Length=str(5 << 30)) + b'{"id": "'),
    "gzip bomb": lambda _: iter([whole(BOMB, Content_Encoding="gzip")]),
    "damaged gzip": lambda _: iter([whole(b"no gzip at all", Content_Encoding="gzip")]),
    "an encoding nobody asked for": lambda _: iter([whole(b"\x0b\x02\x80{}\x03", Content_Encoding="br")]),
    "deeply nested": lambda _: iter([whole(b'{"video":' + b"[" * 1_000_000 + b"]" * 1_000_000 + b"}")]),
}


@pytest.mark.parametrize("kind", TOO_MUCH)
async def test_an_answer_without_end_is_cut_so_a_submission_is_unknown_and_a_question_brings_no_news(kind):
    with Scripted(TOO_MUCH[kind]) as vendor:
        async with Client(KEY, vendor.url) as client:
            with pytest.raises(SubmissionUnknownError) as caught:
                await client.create(REQUEST)
            assert caught.value.may_have_cost
            task = await client.retrieve("abc")
            assert (task.state, task.video_url) == ("pending", None)
            assert await client.balance() is None
            assert await client.find("kw-1", since=0.0, far=False) is None
        assert len(vendor.seen) == 4
        assert vendor.sent < ENOUGH


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429])
async def test_a_refusal_without_end_is_a_refusal_all_the_same(status):
    with Scripted(lambda _: endless(head(status, Retry_After="1000"))) as vendor:
        async with Client(KEY, vendor.url) as client:
            with pytest.raises(KlingError) as caught:
                await client.create(REQUEST)
        assert not caught.value.may_have_cost
        assert len(vendor.seen) == 1


async def test_an_id_in_the_headers_of_an_endless_answer_is_not_lost():
    with Scripted(lambda _: endless(head(201, x_inference_id="paid-for"))) as vendor:
        async with Client(KEY, vendor.url) as client:
            assert (await client.create(REQUEST)).id == "paid-for"


def cut(status: int, **headers: str) -> Iterator[bytes]:
    """An answer that breaks off in its body."""
    return iter([head(status, Content_Length="100", **headers), b'{"message": "No'])


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429])
async def test_a_refusal_that_breaks_off_is_a_refusal_all_the_same(status):
    with Scripted(lambda _: cut(status, Retry_After="1000")) as vendor:
        async with Client(KEY, vendor.url) as client:
            with pytest.raises(KlingError) as caught:
                await client.create(REQUEST)
        assert not caught.value.may_have_cost
        assert len(vendor.seen) == 1


async def test_an_id_in_the_headers_of_an_answer_that_breaks_off_is_not_lost():
    with Scripted(lambda _: cut(201, x_inference_id="paid-for")) as vendor:
        async with Client(KEY, vendor.url) as client:
            assert (await client.create(REQUEST)).id == "paid-for"


async def test_headers_without_end_are_cut():
    flood = b"".join(b"X-%d: %s\r\n" % (number, b"y" * 1000) for number in range(1000))
    with Scripted(lambda _: endless(b"HTTP/1.1 201 X\r\n", flood)) as vendor:
        async with Client(KEY, vendor.url) as client:
            with pytest.raises(SubmissionUnknownError):
                await client.create(REQUEST)
            with pytest.raises(ServerError):
                await client.retrieve("abc")
        assert vendor.sent < ENOUGH


async def test_an_answer_that_trickles_is_not_waited_for_forever(monkeypatch):
    monkeypatch.setattr(connections, "SLOWEST_ANSWER", 0.3)

    def trickle(_: bytes) -> Iterator[bytes]:
        import time

        yield head() + b'{"id": "'
        while True:
            time.sleep(0.02)
            yield b"x"

    with Scripted(trickle) as vendor:
        async with Client(KEY, vendor.url) as client:
            with pytest.raises(SubmissionUnknownError):
                await client.create(REQUEST)


async def test_a_compressed_answer_is_read_all_the_same():
    packed = gzip.compress(json.dumps({"id": "abc", "status": "queued"}).encode())
    with Scripted(lambda _: iter([whole(packed, Content_Encoding="gzip")])) as vendor:
        async with Client(KEY, vendor.url) as client:
            assert (await client.create(REQUEST)).id == "abc"
        assert b"accept-encoding: identity" in vendor.seen[0].lower()


# Downloads

REFUSED = [
    "javascript:alert(1)",
    "file:///etc/passwd",
    "data:text/html,<script>alert(1)</script>",
    "data:video/mp4;base64,AAAAGGZ0eXA=",
    "blob:https://example.org/0a1b",
    "ftp://example.org/clip.mp4",
    "chrome://settings",
    "vscode://file/etc/passwd",
    "//example.org/clip.mp4",
    "/etc/passwd",
    "clip.mp4",
    "",
    "https://",
    "https:///etc/passwd",
    "https://api.aimlapi.com@example.org/clip.mp4",
    "https://name:word@example.org/clip.mp4",
    "https://example.org\\@127.0.0.1/clip.mp4",
    "https://example.org:99999/clip.mp4",
    "https://[::1/clip.mp4",
    "https://exa mple.org/clip.mp4",
    "https://example.org/\x00clip.mp4",
    "https://example.org/\r\nHost: 127.0.0.1",
    "http://example.org/clip.mp4",
    "http://192.168.0.1/clip.mp4",
    "http://127.0.0.1.example.org/clip.mp4",
    "http://simulator.invalid/files/clip.mp4",
    "http://2130706433/clip.mp4",
]


@pytest.mark.parametrize("url", REFUSED)
async def test_such_an_address_is_refused_before_anything_is_asked_or_saved(url, server, tmp_path):
    async with Client(KEY, server.url) as client:
        with pytest.raises(DownloadError, match="not a safe place") as caught:
            await download.download(client, url, tmp_path / "clip.mp4")
    assert not isinstance(caught.value, download.StaleUrlError)
    assert caught.value.hint == "Nothing was saved."
    assert not list(tmp_path.iterdir())
    assert not server.simulator.requests


@pytest.mark.parametrize("url", ["http://127.0.0.1:8888/api/kernels", "http://localhost/x", "http://[::1]/x"])
async def test_a_vendor_far_away_cannot_send_us_to_a_server_on_this_machine(url, tmp_path):
    async with Client(KEY, "https://api.aimlapi.com") as client:
        with pytest.raises(DownloadError, match="not a safe place"):
            await download.download(client, url, tmp_path / "clip.mp4")


def moved(to: str, status: int = 302) -> bytes:
    return whole(b"<script>window.__pwned = 1</script>", status, Location=to)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_signed_storage_may_redirect_and_the_key_does_not_go_along(status, tmp_path):
    video = mp4()
    storage = Scripted(lambda _: iter([whole(video)]))
    with storage, Scripted(lambda _: iter([moved(f"{storage.url}/clip.mp4?signature=1", status)])) as front:
        async with Client(KEY, front.url) as client:
            saved = await download.download(client, f"{front.url}/clip.mp4", tmp_path / "clip.mp4")
    assert saved.read_bytes() == video
    assert len(storage.seen) == len(front.seen) == 1
    assert not [line for line in storage.seen + front.seen if KEY.encode() in line or b"authorization" in line.lower()]


@pytest.mark.parametrize("to", [url for url in REFUSED if "://" in url and "\r" not in url and "\x00" not in url])
async def test_a_redirect_is_checked_like_the_address_itself(to, tmp_path):
    with Scripted(lambda _: iter([moved(to)])) as front:
        async with Client(KEY, front.url) as client:
            with pytest.raises(DownloadError) as caught:
                await download.download(client, f"{front.url}/clip.mp4", tmp_path / "clip.mp4")
        assert len(front.seen) == 1
    assert not isinstance(caught.value, download.BrokenOffError), "httpx calls a damaged Location a broken answer"
    assert not list(tmp_path.iterdir())


def test_a_redirect_never_leads_from_https_to_plain_http():
    client = Client(KEY, "http://127.0.0.1:1")
    for before, refused in (("https://storage.example.org/clip.mp4", True), ("http://127.0.0.1:1/clip.mp4", False)):
        try:
            download.checked_url(client, "http://127.0.0.1:1/clip.mp4", before)
        except DownloadError:
            assert refused
        else:
            assert not refused


async def test_redirects_without_end_are_given_up(tmp_path):
    with Scripted(lambda _: iter([moved("/again")])) as front:
        async with Client(KEY, front.url) as client:
            with pytest.raises(DownloadError, match="on and on"):
                await download.download(client, f"{front.url}/clip.mp4", tmp_path / "clip.mp4")
        assert len(front.seen) == 1 + download.MOST_REDIRECTS


@pytest.mark.parametrize("start", [head(), head(Content_Length=str(50 << 30))], ids=["endless", "announced"])
async def test_a_video_without_end_stops_at_the_size_limit(start, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "LARGEST_VIDEO", 3 << 20)
    with Scripted(lambda _: endless(start + b"\0\0\0\x18ftypmp42")) as storage:
        async with Client(KEY, storage.url) as client:
            with pytest.raises(DownloadError, match="larger than"):
                await download.download(client, f"{storage.url}/clip.mp4", tmp_path / "clip.mp4")
        assert storage.sent < ENOUGH
        assert len(storage.seen) == 1
    assert not (tmp_path / "clip.mp4").exists()


async def test_a_packed_bomb_is_no_video_and_is_not_unpacked(tmp_path):
    with Scripted(lambda _: iter([whole(BOMB, Content_Encoding="gzip")])) as storage:
        async with Client(KEY, storage.url) as client:
            with pytest.raises(DownloadError, match="not an MP4"):
                await download.download(client, f"{storage.url}/clip.mp4", tmp_path / "clip.mp4")
    assert not list(tmp_path.iterdir())


# The simulator's door


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.0.1", "example.org", "::", ""])
def test_the_simulator_listens_on_this_machine_only(host):
    with pytest.raises(ValueError, match="loopback"):
        SimulatorServer(host=host)


@pytest.mark.parametrize("name", ["evil.example.org", "127.0.0.1.evil.example.org", "localhost.evil.example.org"])
def test_a_page_cannot_reach_the_simulator_under_a_name_of_its_own(server, name):
    port = int(server.url.rpartition(":")[2])
    answers = {}
    for host in (name, "127.0.0.1"):
        with socket.create_connection(("127.0.0.1", port)) as connection:
            request = f"GET /v2/billing HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: Bearer {KEY}\r\n"
            connection.sendall(f"{request}Connection: close\r\n\r\n".encode())
            answers[host] = connection.makefile("rb").read()
    assert answers[name].startswith(b"HTTP/1.1 400")
    assert b"balance" not in answers[name]
    assert answers["127.0.0.1"].startswith(b"HTTP/1.1 200")
    assert len(server.simulator.requests) == 1


def mp4() -> bytes:
    """The least that counts as an MP4 file."""
    return b"\0\0\0\x10ftypmp42\0\0\0\0" + b"\0\0\0\x08moov" + b"\0\0\0\x0cmdat\0\0\0\0"
