"""The simulator keeps the promises of the vendor's API, over real HTTP."""

from __future__ import annotations

import asyncio
import base64
import re

import httpx
import pytest

from kling_widget.simulator import SimulatorServer

from .simulator_fixtures import KEY, MODEL, PATH, UNIVERSAL_PATH, body, calling, data_uri, picture, small


@pytest.mark.parametrize("path", [PATH, UNIVERSAL_PATH])
async def test_a_task_is_queued_then_generating_then_completed(path: str) -> None:
    async with calling() as caller:
        submitted = await caller.submit(path)
        assert submitted.status_code == 201
        assert submitted.json()["status"] == "queued"
        generation_id = submitted.json()["id"]
        seen = []
        for _ in range(50):
            caller.clock.forward(0.25)
            task = (await caller.retrieve(generation_id, path)).json()
            seen.append(task["status"])
            assert (task["video"] is not None) == (task["status"] == "completed")
        assert sorted(set(seen), key=seen.index) == ["queued", "generating", "completed"]
        assert 1.5 <= seen.index("generating") * 0.25 <= 2.5  # 45 s of the vendor
        assert 7 <= seen.index("completed") * 0.25 <= 9  # 186 s of the vendor
        assert task["meta"] == {"usage": {"credits_used": 1_000_000}}
        assert (await caller.client.get(task["video"]["url"])).content[4:8] == b"ftyp"


async def test_the_real_clock_gives_a_five_second_clip_in_its_time() -> None:
    with SimulatorServer(small(time_factor=186)) as server:
        async with httpx.AsyncClient(base_url=server.url, headers={"Authorization": "Bearer k"}) as client:
            generation_id = (await client.post(PATH, json=body())).json()["id"]
            await asyncio.sleep(1.2)  # 186 s of the vendor, and 6 % of jitter
            task = (await client.get(PATH, params={"generation_id": generation_id})).json()
            assert task["status"] == "completed"


async def test_a_prompt_with_the_fail_marker_ends_in_error_and_costs_nothing() -> None:
    async with calling() as caller:
        task = await caller.finished(await caller.accepted(prompt="[fail] please"))
        assert task["status"] == "error"
        assert task["error"]["name"]
        assert task["error"]["message"]
        assert task["video"] is None
        assert (await caller.client.get("/v2/billing")).json()["current_balance"] == 1000


@pytest.mark.parametrize(
    ("shape", "pattern"),
    [
        ("short", r"[A-Za-z0-9_]{21}"),
        ("uuid", r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
        ("colon", r"[0-9a-f-]{36}:kling-video/v1\.6/pro/image-to-video"),
    ],
)
async def test_ids_of_each_shape_are_found_again(shape: str, pattern: str) -> None:
    async with calling(small(id_shape=shape)) as caller:
        generation_id = await caller.accepted()
        assert re.fullmatch(pattern, generation_id)
        assert (await caller.retrieve(generation_id)).json()["id"] == generation_id
        url = (await caller.finished(generation_id))["video"]["url"]
        assert (await caller.client.get(url)).status_code == 200


async def test_mixed_ids_have_all_three_shapes() -> None:
    async with calling(small(id_shape="mixed")) as caller:
        ids = [await caller.accepted() for _ in range(3)]
        assert [len(ids[0]), len(ids[1]), ":" in ids[2]] == [21, 36, True]


@pytest.mark.parametrize(
    ("place", "in_body", "in_header"),
    [("id", {"id"}, True), ("generation_id", {"generation_id"}, False), ("header", set(), True)],
)
async def test_the_id_is_where_the_settings_say(place: str, in_body: set[str], in_header: bool) -> None:
    async with calling(small(id_in=place, submit_status=200)) as caller:
        answer = await caller.submit()
        assert answer.status_code == 200
        assert {"id", "generation_id"} & set(answer.json()) == in_body
        assert ("x-inference-id" in answer.headers) == in_header
        found = answer.json().get("id") or answer.json().get("generation_id") or answer.headers["x-inference-id"]
        assert (await caller.retrieve(found)).status_code == 200


async def test_status_words_can_be_others() -> None:
    async with calling(small(status_words=("waiting", "active", "succeeded"))) as caller:
        answer = await caller.submit()
        assert answer.json()["status"] == "waiting"
        assert (await caller.finished(answer.json()["id"]))["status"] == "succeeded"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"duration": 7}, "duration: Invalid enum value. Expected 5 | 10, received 7"),
        ({"duration": "5"}, "duration: Invalid enum value. Expected 5 | 10, received '5'"),
        ({"duration": 5.0}, "duration: Invalid enum value. Expected 5 | 10, received 5.0"),
        ({"cfg_scale": 1.2}, "cfg_scale: Number must be less than or equal to 1"),
        ({"cfg_scale": "1"}, "cfg_scale: Expected number, received string"),
        ({"cfg_scale": True}, "cfg_scale: Expected number, received boolean"),
        ({"prompt": None}, "prompt: Required"),
        ({"image_url": None}, "image_url: Required"),
        ({"prompt": 3}, "prompt: Expected string, received number"),
        ({"model": "other"}, f"model: Invalid enum value. Expected '{MODEL}', received 'other'"),
        ({"ratio": "4:3"}, "ratio: Invalid enum value. Expected '16:9' | '9:16' | '1:1', received '4:3'"),
        ({"aspect_ratio": "4:3"}, "aspect_ratio: Invalid enum value. Expected '16:9' | '9:16' | '1:1', received '4:3'"),
        ({"camera_control": {"type": "simple", "config": {"zoom": 11}}}, "camera_control.config.zoom: Number must be"),
        ({"dynamic_masks": [{"mask": "x", "trajectories": [{"x": 1, "y": 1}]}]}, "Array must contain at least 2"),
        ({"dynamic_masks": [{"mask": "x", "trajectories": [{"x": 1}] * 2}] * 7}, "Array must contain at most 6"),
        ({"image_url": "no picture!"}, "image_url: Invalid url"),
        ({"image_url": "https://"}, "image_url: Invalid url"),
        ({"image_url": data_uri(b"some text")}, "image_url: Image could not be decoded"),
        ({"image_url": data_uri(b"")}, "image_url: Invalid url: the image is empty"),
        ({"image_url": data_uri(picture()[:400])}, "image_url: Image could not be decoded"),
        ({"tail_image_url": data_uri(picture(format="GIF"))}, "tail_image_url: Unsupported image format"),
        ({"image_url": data_uri(picture() + bytes(10 * 2**20))}, "image_url: File size must not exceed 10 MB"),
    ],
)
async def test_a_bad_body_is_refused_with_the_vendors_words(changes: dict[str, object], message: str) -> None:
    async with calling() as caller:
        answer = await caller.submit(**changes)
        assert answer.status_code == 400
        assert message in answer.json()["message"]
        assert set(answer.json()) == {"message", "path", "requestId", "statusCode", "timestamp"}
        assert answer.json()["path"] == PATH
        assert answer.json()["statusCode"] == 400
        assert caller.simulator.tasks == []


async def test_a_body_that_is_no_json_is_refused() -> None:
    async with calling() as caller:
        for content in (b"", b"{", b"[]", b'"x"', b"\xff"):
            assert (await caller.client.post(PATH, content=content)).status_code == 400


async def test_every_documented_field_and_way_to_give_a_picture_is_accepted() -> None:
    raw = base64.b64encode(picture(format="JPEG")).decode()
    async with calling() as caller:
        answer = await caller.submit(
            image_url=raw,
            tail_image_url="https://example.com/a%20picture.jpg",
            negative_prompt="",
            duration=10,
            cfg_scale=0,
            ratio="16:9",
            aspect_ratio="1:1",
            static_mask=data_uri(picture()),
            dynamic_masks=[{"mask": data_uri(picture()), "trajectories": [{"x": 0, "y": 0}, {"x": 5, "y": 5}]}],
            camera_control={"type": "simple", "config": {"zoom": -10}},
            later_field="unknown fields are dropped",
        )
        assert answer.status_code == 201


async def test_wrong_keys_are_refused_and_unknown_things_not_found() -> None:
    async with calling(small(api_keys=frozenset({KEY}))) as caller:
        assert (await caller.submit()).status_code == 201
        for bad in ("", "Bearer", "Bearer other", KEY, f"Basic {KEY}"):
            for path in (PATH, "/v2/logs", "/v2/billing", "/v2/billing/transactions"):
                answer = await caller.client.get(path, headers={"Authorization": bad})
                assert answer.status_code == 401, (bad, path)
                assert KEY not in answer.text
        assert (await caller.submit(headers={"Authorization": "Bearer other"})).status_code == 401
        assert (await caller.retrieve("no-such-id")).status_code == 404
        assert (await caller.client.get(PATH)).status_code == 400
        assert (await caller.client.get("/v2/elsewhere")).json()["statusCode"] == 404
        assert (await caller.client.put(PATH)).status_code == 404


async def test_tracing_headers_come_back_only_if_they_are_valid() -> None:
    async with calling() as caller:
        for sent, valid in {
            "kw-1.a_B:2": True,
            "x" * 128: True,
            "x" * 129: False,
            "with space": False,
            "slash/": False,
        }.items():
            answer = await caller.submit(headers={"X-Client-Request-Id": sent})
            assert answer.headers.get("x-client-request-id") == (sent if valid else None)
            refused = await caller.submit(headers={"X-Client-Request-Id": sent}, duration=7)
            assert refused.headers.get("x-client-request-id") == (sent if valid else None)
            assert caller.simulator.tasks[-1].client_request_id == (sent if valid else None)


async def test_requests_are_recorded_to_the_byte_without_the_key() -> None:
    async with calling() as caller:
        sent = b'{"model": "x",   "cfg_scale": 0}'
        await caller.client.post(PATH + "?a=b%2Fc", content=sent)
        record = caller.simulator.requests[0]
        assert (record.method, record.path, record.query, record.body) == ("POST", PATH, {"a": "b/c"}, sent)
        assert record.headers["authorization"] == "Bearer ***"
        shown = (await caller.client.get("/_simulator/requests")).text
        assert record.sha256 in shown
        assert KEY not in shown + repr(record)


async def test_the_same_seed_gives_the_same_ids_and_videos_and_another_seed_others() -> None:
    made = []
    for seed in (1, 1, 2):
        async with calling(small(seed=seed)) as caller:
            video = await caller.video()
            made.append((caller.simulator.tasks[0].id, video))
    assert made[0] == made[1]
    assert made[0][0] != made[2][0]
    assert made[0][1] != made[2][1]
