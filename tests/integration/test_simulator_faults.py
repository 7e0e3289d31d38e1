"""Every fault of aimlapi.md §3 can be had on demand, over real HTTP and in process, and looks like the real thing."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest

from kling_widget.simulator import Fault

from .simulator_fixtures import calling, calling_in_process

both = pytest.mark.parametrize("way", [calling, calling_in_process], ids=["http", "in process"])


@both
async def test_a_task_lives_the_same_way_everywhere(way: Any) -> None:
    async with way() as caller:
        video = await caller.video()
        assert video[4:8] == b"ftyp"
        assert caller.simulator.requests[-1].path.startswith("/files/")


@both
@pytest.mark.parametrize("code", [400, 401, 403, 404, 429, 500, 502, 503, 504])
async def test_any_status_code_with_the_vendors_body_and_nothing_accepted(way: Any, code: int) -> None:
    async with way() as caller:
        caller.simulator.faults.add(Fault("submit", "status_code", code=code, retry_after=7, message="so it is"))
        answer = await caller.submit(headers={"X-Client-Request-Id": "kw-1"})
        assert answer.status_code == code
        assert answer.json()["statusCode"] == code
        assert answer.json()["message"] == "so it is"
        assert answer.headers["retry-after"] == "7"
        assert answer.headers["x-client-request-id"] == "kw-1"
        assert caller.simulator.tasks == []
        assert (await caller.submit()).status_code == 201  # once means once


@both
async def test_a_server_error_after_the_submission_was_accepted(way: Any) -> None:
    async with way() as caller:
        caller.simulator.faults.add(Fault("submit", "status_code", code=502, accepted=True))
        answer = await caller.submit(headers={"X-Client-Request-Id": "kw-1"})
        assert answer.status_code == 502
        assert "retry-after" not in answer.headers
        rows = (await caller.client.get("/v2/logs")).json()["data"]
        assert [(row["client_request_id"], row["inference_id"]) for row in rows] == [
            ("kw-1", caller.simulator.tasks[0].id)
        ]


@both
@pytest.mark.parametrize(("reset", "error"), [(True, httpx.ReadError), (False, httpx.RemoteProtocolError)])
@pytest.mark.parametrize(("kind", "accepted"), [("drop_before", 0), ("drop_after", 1)])
async def test_a_connection_breaks_before_or_after_the_submission(
    way: Any, kind: Any, accepted: int, reset: bool, error: type[Exception]
) -> None:
    async with way() as caller:
        caller.simulator.faults.add(Fault("submit", kind, reset=reset))
        with pytest.raises(error):
            await caller.submit()
        assert len(caller.simulator.tasks) == accepted
        assert len(caller.simulator.requests) == 1
        assert (await caller.submit()).status_code == 201


async def test_a_connection_breaks_while_ten_megabytes_are_being_sent() -> None:
    async with calling() as caller:
        caller.simulator.faults.add(Fault("submit", "drop_before"))
        with pytest.raises((httpx.ReadError, httpx.WriteError)):
            await caller.submit(prompt="x" * 10_000_000)
        assert caller.simulator.tasks == []


@both
@pytest.mark.parametrize("where", ["submit", "retrieve", "download", "logs", "billing"])
@pytest.mark.parametrize("kind", ["drop_midway", "wrong_length"])
async def test_a_connection_closes_in_the_middle_of_any_answer(way: Any, where: Any, kind: Any) -> None:
    async with way() as caller:
        url = await caller.video_url()
        calls = {
            "submit": lambda: caller.submit(),
            "retrieve": lambda: caller.retrieve(caller.simulator.tasks[0].id),
            "download": lambda: caller.client.get(url),
            "logs": lambda: caller.client.get("/v2/logs"),
            "billing": lambda: caller.client.get("/v2/billing"),
        }
        caller.simulator.faults.add(Fault(where, kind))
        with pytest.raises(httpx.RemoteProtocolError):
            await calls[where]()
        assert len(caller.simulator.tasks) == (2 if where == "submit" else 1)
        assert (await calls[where]()).is_success


@both
async def test_half_a_video_arrives_before_the_connection_closes_and_the_rest_can_be_fetched(way: Any) -> None:
    async with way() as caller:
        url = await caller.video_url()
        whole = (await caller.client.get(url)).content
        caller.simulator.faults.add(Fault("download", "drop_midway"))
        got, broken = b"", False
        async with caller.client.stream("GET", url) as answer:
            assert int(answer.headers["content-length"]) == len(whole)
            try:
                async for part in answer.aiter_raw():
                    got += part
            except httpx.RemoteProtocolError:
                broken = True
        assert broken
        assert got == whole[: len(whole) // 2]
        rest = await caller.client.get(url, headers={"Range": f"bytes={len(got)}-"})
        assert got + rest.content == whole


@both
@pytest.mark.parametrize("accepted", [True, False])
async def test_no_answer_within_the_time_the_caller_waits(way: Any, accepted: bool) -> None:
    async with way(timeout=0.4) as caller:
        caller.simulator.faults.add(Fault("submit", "hang", seconds=30, accepted=accepted))
        with pytest.raises(httpx.ReadTimeout):
            await caller.submit()
        assert len(caller.simulator.tasks) == accepted


@both
async def test_a_late_answer_and_a_late_break(way: Any) -> None:
    async with way() as caller:
        caller.simulator.faults.add(
            Fault("submit", "hang", seconds=0.3, accepted=True), Fault("submit", "hang", seconds=0.3)
        )
        start = time.monotonic()
        assert (await caller.submit()).status_code == 201
        assert time.monotonic() - start >= 0.3
        with pytest.raises(httpx.ReadError):
            await caller.submit()


@both
@pytest.mark.parametrize("where", ["submit", "retrieve"])
async def test_a_success_that_says_nothing(way: Any, where: Any) -> None:
    async with way() as caller:
        generation_id = await caller.accepted()
        for kind in ("empty", "garbage"):
            caller.simulator.faults.add(Fault(where, kind))
            answer = await (caller.submit() if where == "submit" else caller.retrieve(generation_id))
            assert answer.is_success
            assert "x-inference-id" not in answer.headers
            assert (answer.content == b"") == (kind == "empty")
            with pytest.raises(ValueError, match=r".*"):
                answer.json()


@both
async def test_a_success_without_an_id_and_with_the_id_in_the_header_only(way: Any) -> None:
    async with way() as caller:
        caller.simulator.faults.add(Fault("submit", "no_id"), Fault("submit", "header_id"))
        nameless, headed = await caller.submit(), await caller.submit()
        for answer in (nameless, headed):
            assert answer.status_code == 201
            assert answer.json()["status"] == "queued"
            assert not {"id", "generation_id"} & set(answer.json())
        assert "x-inference-id" not in nameless.headers
        assert headed.headers["x-inference-id"] == caller.simulator.tasks[1].id


@both
async def test_any_status_word_and_a_lost_task(way: Any) -> None:
    async with way() as caller:
        generation_id = await caller.accepted()
        words = ["waiting", "active", "succeeded", "Something New", "error"]
        caller.simulator.faults.add(*(Fault("retrieve", "word", word=word) for word in words))
        assert [(await caller.retrieve(generation_id)).json()["status"] for _ in words] == words
        caller.simulator.faults.add(Fault("retrieve", "lost"))
        assert (await caller.retrieve(generation_id)).status_code == 404
        assert (await caller.retrieve(generation_id)).status_code == 200


@both
async def test_a_download_that_is_no_video_or_half_a_video_or_too_old(way: Any) -> None:
    async with way() as caller:
        url = await caller.video_url()
        whole = (await caller.client.get(url)).content
        caller.simulator.faults.add(
            Fault("download", "html"),
            Fault("download", "truncated"),
            Fault("download", "expired"),
            Fault("download", "status_code", code=503, retry_after=1),
        )
        page, half, old, busy = [await caller.client.get(url) for _ in range(4)]
        assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert (half.status_code, half.content) == (200, whole[: len(whole) // 2])
        assert (old.status_code, "expired" in old.text) == (403, True)
        assert (busy.status_code, busy.headers["retry-after"]) == (503, "1")


@both
async def test_a_slow_link_streams_at_its_pace(way: Any) -> None:
    async with way() as caller:
        url = await caller.video_url()
        size = len((await caller.client.get(url)).content)
        caller.simulator.faults.add(Fault("download", "slow", bytes_per_second=size))
        start, arrivals = time.monotonic(), []
        async with caller.client.stream("GET", url) as answer:
            async for _ in answer.aiter_raw():
                arrivals.append(time.monotonic() - start)
        assert 0.8 < arrivals[-1] < 3
        assert len(arrivals) >= 5
        assert arrivals[0] < arrivals[-1] / 2  # streamed, not held back


@both
async def test_faults_hit_as_often_and_as_late_as_asked_and_only_their_generation(way: Any) -> None:
    async with way() as caller:
        ids = [await caller.accepted() for _ in range(2)]
        caller.simulator.faults.add(Fault("retrieve", "status_code", times=2, after=1, generation_id=ids[0]))
        assert (await caller.retrieve(ids[1])).status_code == 200
        assert [(await caller.retrieve(ids[0])).status_code for _ in range(4)] == [200, 500, 500, 200]
        caller.simulator.faults.add(Fault("retrieve", "status_code", times=None))
        assert [(await caller.retrieve(ids[1])).status_code for _ in range(3)] == [500] * 3
        caller.simulator.faults.clear()
        assert (await caller.retrieve(ids[1])).status_code == 200
        url = (await caller.finished(ids[0]))["video"]["url"]
        caller.simulator.faults.add(Fault("download", "expired", generation_id=ids[1]))
        assert (await caller.client.get(url)).status_code == 200


def test_a_fault_that_does_not_exist_is_refused_with_the_known_ones() -> None:
    for bad in (
        {"where": "nowhere", "kind": "hang"},
        {"where": "submit", "kind": "x"},
        {"where": "logs", "kind": "html"},
    ):
        with pytest.raises(ValueError, match=r"where|kind|possible"):
            Fault.from_json(bad)
    with pytest.raises(ValueError, match="retry_after"):
        Fault.from_json({"where": "submit", "kind": "hang", "secs": 3})


async def test_faults_can_be_set_from_outside() -> None:
    async with calling() as caller:
        planned = {"where": "submit", "kind": "status_code", "code": 429}
        assert (await caller.client.post("/_simulator/faults", json=planned)).json()[0]["code"] == 429
        assert (await caller.client.post("/_simulator/faults", json={"where": "x"})).status_code == 400
        assert len((await caller.client.get("/_simulator/faults")).json()) == 1
        assert (await caller.submit()).status_code == 429
        await caller.client.post("/_simulator/faults", json=[planned, planned])
        assert (await caller.client.delete("/_simulator/faults")).json() == []
        assert (await caller.submit()).status_code == 201
