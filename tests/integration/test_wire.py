"""The wire: what is sent is what the specification writes, and every answer it allows is understood."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import socket
import threading
import time
import warnings
from contextlib import asynccontextmanager
from datetime import datetime

import httpx
import pytest

from kling_widget import (
    Client,
    ImageToVideoRequest,
    InvalidRequestError,
    ServerError,
    SubmissionUnknownError,
    connections,
)
from kling_widget.body import Body
from kling_widget.client import READS_AT_ONCE
from kling_widget.simulator import Fault
from kling_widget.simulator.answers import iso
from kling_widget.task import Found
from tests.integration.conftest import KEY, submissions
from tests.integration.simulator_fixtures import data_uri, picture

PICTURE = data_uri(picture())
URL = "https://example.org/cat.png"
SPECIFIED = "/v2/generate/video/kling/generation"


def request(**fields):
    return ImageToVideoRequest(**{"image_url": PICTURE, "prompt": "a quiet harbour", **fields})


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"image_url": URL},
        {"tail_image_url": PICTURE},
        {"prompt": "ein “stiller” Hafen\n静かな港 🌊"},
        {"negative_prompt": "blur"},
        {"duration": 5},
        {"duration": 10},
        {"cfg_scale": 0},
        {"cfg_scale": 0.35},
        {"cfg_scale": 1},
        {"ratio": "9:16"},
        {"aspect_ratio": "1:1"},
        {"static_mask": PICTURE},
        {"dynamic_masks": [{"mask": PICTURE, "trajectories": [{"x": 0, "y": 1.5}, {"x": 3, "y": 4}]}]},
        {"camera_control": {"type": "simple", "config": {"pan": -10, "zoom": 0}}},
        {"camera_control": {"type": "forward_up"}},
    ],
    ids=lambda fields: ",".join(fields) or "required",
)
async def test_each_field_goes_out_as_specified_and_is_accepted(server, fields):
    now = server.simulator.clock()
    server.simulator.clock = lambda: now  # however slow this machine is, the vendor answers as soon as it is asked
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        made = request(**fields)
    async with Client(KEY, server.url) as client:
        task = await client.create(made, client_request_id="kw-1")
    [sent] = submissions(server)
    expected = {
        "model": "kling-video/v1.6/pro/image-to-video",
        "image_url": PICTURE,
        "prompt": "a quiet harbour",
        **fields,
    }
    assert json.loads(sent.body) == expected
    assert sent.path == SPECIFIED
    assert sent.headers["content-type"] == "application/json"
    assert sent.headers["accept"] == "*/*"
    assert sent.headers["authorization"].startswith("Bearer ")
    assert sent.headers["x-client-request-id"] == "kw-1"
    assert task.id
    assert task.status == "queued"


async def test_zero_is_sent_as_zero(server):
    async with Client(KEY, server.url) as client:
        await client.create(request(cfg_scale=0))
    assert b'"cfg_scale":0.0}' in submissions(server)[0].body


@pytest.mark.parametrize("status", [200, 201])
@pytest.mark.parametrize("place", ["id", "generation_id", "header"])
@pytest.mark.parametrize("shape", ["short", "uuid", "colon"])
async def test_every_place_and_shape_of_the_id_is_understood(serve, status, place, shape):
    server = serve(submit_status=status, id_in=place, id_shape=shape)
    async with Client(KEY, server.url) as client:
        task = await client.create(request())
        assert task.id == server.simulator.tasks[0].id
        again = await client.retrieve(task.id)
    asked = next(each for each in server.simulator.requests if each.method == "GET")
    assert asked.path == SPECIFIED
    assert asked.query == {"generation_id": task.id}
    assert again.state in ("pending", "completed")


async def test_the_universal_path_is_a_setting(server):
    async with Client(KEY, server.url, path="/v2/video/generations") as client:
        task = await client.create(request())
        await client.retrieve(task.id)
    assert {each.path for each in server.simulator.requests} == {"/v2/video/generations"}


@pytest.mark.parametrize("kind", ["empty", "garbage", "no_id"])
async def test_a_2xx_without_an_id_is_unknown_and_is_found_again_by_the_client_request_id(server, kind):
    server.simulator.faults.add(Fault("submit", kind))
    async with Client(KEY, server.url) as client:
        with pytest.raises(SubmissionUnknownError) as caught:
            await client.create(request(), client_request_id="kw-lost")
        assert caught.value.may_have_cost
        assert caught.value.client_request_id == "kw-lost"
        found, task = await client.find("kw-lost", since=server.simulator.clock()), server.simulator.tasks[0]
        assert found == Found(task.id, pytest.approx(task.created, abs=0.001))  # the log has milliseconds
        assert await client.find("kw-other", since=server.simulator.clock()) is None
    assert len(submissions(server)) == 1


class BusyLog:
    """The log of an account with a submission every 15 s, as its rules are written; counts how often it is asked."""

    def __init__(self, first: float, rows: int) -> None:
        self._rows = [(first + 15.0 * number, f"kw-{number}") for number in range(rows)]
        self.asked = 0

    def __call__(self, question: httpx.Request) -> httpx.Response:
        self.asked += 1
        query = question.url.params
        start, end = (
            datetime.fromisoformat(query[name].replace("Z", "+00:00")).timestamp() for name in ("start", "end")
        )
        offset, limit = int(query["offset"]), int(query["limit"])
        rows = [
            {"created": iso(at), "inference_id": f"gen-{name}", "client_request_id": name}
            for at, name in reversed(self._rows)
            if start <= at <= end
        ]
        page = {"data": rows[offset : offset + limit], "pagination": {"has_more": offset + limit < len(rows)}}
        return httpx.Response(200, stream=httpx.ByteStream(json.dumps(page).encode()))


async def test_on_a_busy_account_it_is_looked_for_where_it_must_be():
    sent = time.time() - 40_000
    log = BusyLog(sent, 2501)
    async with Client(KEY, "http://127.0.0.1", transport=httpx.MockTransport(log)) as client:
        assert (await client.find("kw-0", sent)).generation_id == "gen-kw-0"
        assert log.asked == 1
        assert (await client.find("kw-1900", sent)).generation_id == "gen-kw-1900"  # it waited for eight hours
        assert log.asked <= 1 + 1 + 25
        log.asked = 0
        assert await client.find("kw-1900", sent, far=False) is None
        assert log.asked == 1


DATES = [
    "",
    "Wed, 21 Oct",
    "Mon, 99 Foo 2026 10:00:00 GMT",
    "Mon, 01 Jan 9999 00:00:00 GMT",
    "Thu, 01 Jan 1970 00:00:00 GMT",
]


@pytest.mark.parametrize("date", DATES)
async def test_a_date_that_is_wrong_or_none_does_not_hide_a_submission(date):
    sent = time.time() - 40_000
    log = BusyLog(sent, 100)

    def answer(question: httpx.Request) -> httpx.Response:
        response = log(question)
        response.headers["date"] = date
        return response

    async with Client(KEY, "http://127.0.0.1", transport=httpx.MockTransport(answer)) as client:
        for _ in range(2):
            assert (await client.find("kw-0", sent, far=False)).generation_id == "gen-kw-0"


@pytest.mark.parametrize("kind", ["empty", "garbage"])
async def test_an_unreadable_answer_to_a_question_is_no_news(server, kind):
    async with Client(KEY, server.url) as client:
        task = await client.create(request())
        server.simulator.faults.add(Fault("retrieve", kind))
        assert (await client.retrieve(task.id)).state == "pending"


@pytest.mark.parametrize(
    "fault",
    [
        Fault("submit", "drop_after"),
        Fault("submit", "drop_after", reset=False),
        Fault("submit", "status_code", code=500, accepted=True),
        Fault("submit", "status_code", code=502),
        Fault("submit", "status_code", code=503),
        Fault("submit", "status_code", code=504, accepted=True),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.code}-{fault.accepted}",
)
async def test_a_submission_that_may_have_arrived_is_never_sent_again(server, fault):
    server.simulator.faults.add(fault)
    async with Client(KEY, server.url) as client:
        with pytest.raises(SubmissionUnknownError):
            await client.create(request())
    assert len(submissions(server)) == 1


@pytest.mark.parametrize("kind", ["drop_midway", "wrong_length"])
@pytest.mark.parametrize("place", ["id", "header"])
async def test_an_id_in_an_answer_that_breaks_off_is_kept(serve, kind, place):
    server = serve(id_in=place, log_delay=3600)  # the log does not know it yet
    server.simulator.faults.add(Fault("submit", kind))
    async with Client(KEY, server.url) as client:
        assert (await client.create(request())).id == server.simulator.tasks[0].id
    assert len(submissions(server)) == 1


async def test_an_answer_that_breaks_off_before_its_id_is_unknown(serve):
    server = serve(id_in="generation_id")  # in the body only
    server.simulator.faults.add(Fault("submit", "drop_midway"))
    async with Client(KEY, server.url) as client:
        with pytest.raises(SubmissionUnknownError):
            await client.create(request())
    assert len(submissions(server)) == 1


async def test_a_question_whose_answer_breaks_off_is_no_answer(server):
    """An empty log would read as "not there"."""
    server.simulator.faults.add(Fault("logs", "drop_midway"), Fault("retrieve", "wrong_length"))
    async with Client(KEY, server.url) as client:
        task = await client.create(request(), client_request_id="kw-1")
        with pytest.raises(ServerError):
            await client.find("kw-1", since=server.simulator.clock())
        with pytest.raises(ServerError):
            await client.retrieve(task.id)


async def test_429_is_tried_again_after_what_the_vendor_asked_for(server):
    server.simulator.faults.add(Fault("submit", "status_code", code=429, retry_after=1, times=2))
    waits = []
    async with Client(KEY, server.url) as client:
        await client.create(request(), on_wait=waits.append)
    assert len(submissions(server)) == 3
    assert len(waits) == 2
    assert min(waits) >= 1


async def test_each_try_is_told_just_before_it_leaves_and_can_be_kept_here(server):
    server.simulator.faults.add(Fault("submit", "status_code", code=429, times=None))
    told = []

    def send():
        told.append(len(submissions(server)))
        if len(told) == 3:
            raise KeyError("not this one")

    async with Client(KEY, server.url) as client:
        with pytest.raises(KeyError):
            await client.create(request(), on_send=send)
    assert told == [0, 1, 2]
    assert len(submissions(server)) == 2


LARGE = b"\xff\xd8\xff" + bytes(range(256)) * 35_000
"""Nine megabytes that begin as a JPEG does."""


def large_body():
    made = request(image_url="sha256:" + "0" * 64)
    return Body(made.body(), lambda reference: LARGE)


async def test_a_large_picture_arrives_whole_each_time_it_is_sent():
    """The first answer is a 429, after which the same body leaves once more."""
    bodies, heads = [], []

    def answer(listener):
        for status in (b"429 Too Many Requests", b"201 Created"):
            connection, _ = listener.accept()
            with connection:
                head, body = _read_head(connection)
                heads.append(head.lower())
                while len(body) < large_body().size:
                    body += connection.recv(1 << 20)
                bodies.append(json.loads(body))
                connection.sendall(b"HTTP/1.1 " + status + b"\r\nContent-Length: 12\r\n\r\n" + b'{"id":"abc"}')

    async with _answering(answer) as url, Client(KEY, url) as client:
        assert (await client.create(large_body())).id == "abc"
    assert [body["image_url"] for body in bodies] == [f"data:image/jpeg;base64,{base64.b64encode(LARGE).decode()}"] * 2
    for head in heads:
        assert b"\r\ncontent-length: %d\r\n" % large_body().size in head
        assert b"transfer-encoding" not in head


async def test_a_connection_that_breaks_within_the_body_is_unknown_and_never_sent_again():
    raised, others = threading.Event(), []

    def answer(listener):
        connection, _ = listener.accept()
        with connection:
            _read_head(connection)
            connection.recv(1 << 16)  # and closes with the rest unread, which is a reset
        raised.wait(60)
        listener.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            others.append(listener.accept())

    async with _answering(answer) as url, Client(KEY, url) as client:
        with pytest.raises(SubmissionUnknownError):
            await client.create(large_body())
        raised.set()
    assert others == []


async def test_on_a_slow_line_each_piece_has_its_time(monkeypatch):
    """All of it takes longer than a write may take."""
    monkeypatch.setattr(connections, "TIMEOUT", httpx.Timeout(60.0, write=1.5))
    began = time.monotonic()

    def answer(listener):
        connection, _ = listener.accept()
        with connection:
            _, body = _read_head(connection)
            left = large_body().size - len(body)
            while left:
                time.sleep(0.03)
                left -= len(connection.recv(min(left, 1 << 17)))
            connection.sendall(b'HTTP/1.1 201 Created\r\nContent-Length: 12\r\n\r\n{"id":"abc"}')

    async with _answering(answer) as url, Client(KEY, url) as client:
        assert (await client.create(large_body())).id == "abc"
    assert time.monotonic() - began > 1.5


def _read_head(connection):
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(1 << 16)
    head, _, body = received.partition(b"\r\n\r\n")
    return head + b"\r\n", body


@asynccontextmanager
async def _answering(answer):
    """A server of a few lines in a thread of its own, with small buffers: what it doesn't read waits at the sender."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        thread = threading.Thread(target=answer, args=(listener,))
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join(timeout=60)


async def test_of_a_thousand_questions_a_few_are_under_way_and_a_submission_need_not_wait_for_them():
    asked, most, full, answered = 0, 0, asyncio.Event(), asyncio.Event()

    async def answer(question):
        nonlocal asked, most
        if question.method == "POST":
            return httpx.Response(201, stream=httpx.ByteStream(b'{"id": "abc"}'))
        asked += 1
        most = max(most, asked)
        if asked == READS_AT_ONCE:
            full.set()
        await answered.wait()
        asked -= 1
        return httpx.Response(200, stream=httpx.ByteStream(b'{"status": "queued"}'))

    async with Client(KEY, "http://127.0.0.1", transport=httpx.MockTransport(answer)) as client:
        questions = [asyncio.create_task(client.retrieve("abc")) for _ in range(1000)]
        await asyncio.wait_for(full.wait(), 60)
        assert (await client.create(request(image_url=URL))).id == "abc"
        answered.set()
        assert {task.status for task in await asyncio.gather(*questions)} == {"queued"}
    assert most == READS_AT_ONCE


async def test_a_server_that_is_not_there_is_tried_again_and_then_named():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    waits = []
    async with Client(KEY, address) as client:
        with pytest.raises(ServerError, match="cannot be reached"):
            await client.create(request(), on_wait=waits.append)
    assert len(waits) == 4


async def test_a_redirect_is_not_followed_and_takes_no_key_along():
    seen = []

    def answer(listener):
        connection, _ = listener.accept()
        with connection:
            while b"\r\n\r\n" not in (head := connection.recv(1 << 16)):
                pass
            seen.append(head)
            connection.sendall(
                b"HTTP/1.1 307 Temporary Redirect\r\n"
                b"Location: http://127.0.0.1:1/elsewhere\r\nContent-Length: 0\r\n\r\n"
            )
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(1 << 16):
                pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer, args=(listener,))
        thread.start()
        async with Client(KEY, f"http://127.0.0.1:{listener.getsockname()[1]}") as client:
            with pytest.raises(InvalidRequestError, match="307"):
                await client.create(request())
        thread.join(timeout=10)
    assert len(seen) == 1


@pytest.mark.parametrize(
    "address", ["http://example.org", "ftp://127.0.0.1", "example.org", "https://", "http://192.168.0.1"]
)
def test_the_key_only_goes_to_https_or_to_this_machine(address):
    with pytest.raises(InvalidRequestError, match="https"):
        Client(KEY, address)


async def test_the_balance_is_read(server):
    async with Client(KEY, server.url) as client:
        assert await client.balance() > 0


async def test_a_refusal_carries_the_vendors_own_words(server):
    body = {"message": "Invalid enum value. Expected '5' | '10', received '7'"}
    server.simulator.faults.add(Fault("submit", "status_code", code=400, message=body["message"]))
    async with Client(KEY, server.url) as client:
        with pytest.raises(InvalidRequestError) as caught:
            await client.create(request())
    assert caught.value.vendor_message == body["message"]
    assert body["message"] in str(caught.value)
    assert not caught.value.may_have_cost
