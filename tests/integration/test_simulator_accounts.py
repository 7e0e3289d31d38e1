"""The simulated account: prices, limits, logs and charges, over real HTTP."""

from __future__ import annotations

import asyncio
import time

import pytest

from .simulator_fixtures import calling, small


async def test_an_account_without_credits_is_refused_until_then_it_pays() -> None:
    async with calling(small(credits=2_500_000)) as caller:
        first = await caller.accepted()
        assert (await caller.client.get("/v2/billing")).json() == {"current_balance": 1.25, "currency": "USD"}
        await caller.accepted()
        refused = await caller.submit()
        assert refused.status_code == 403
        assert "credits" in refused.json()["message"]
        await caller.finished(first)
        assert (await caller.client.get("/v2/billing")).json()["current_balance"] == 0.25


async def test_too_many_at_once_are_refused() -> None:
    async with calling(small(concurrency_limit=1)) as caller:
        first = await caller.accepted()
        assert (await caller.submit()).status_code == 429
        await caller.finished(first)
        assert (await caller.submit()).status_code == 201


async def test_the_price_is_in_the_headers_once_the_video_is_there() -> None:
    async with calling() as caller:
        generation_id = await caller.accepted(duration=10)
        assert "x-aimlapi-credits-used" not in (await caller.retrieve(generation_id)).headers
        caller.clock.forward(1000)
        headers = (await caller.retrieve(generation_id)).headers
        assert headers["x-inference-id"] == generation_id
        assert headers["x-aimlapi-credits-used"] == "2000000"
        assert float(headers["x-aimlapi-usd-spent"]) == 1.0


async def test_logs_are_newest_first_in_pages_and_find_a_lost_submission() -> None:
    async with calling() as caller:
        for number in range(5):
            await caller.submit(
                headers={"X-Client-Request-Id": f"kw-{number}"}, prompt="[fail]" if number == 1 else "x"
            )
            caller.clock.forward(60)
        get = caller.client.get
        page = (await get("/v2/logs", params={"period": "1h", "limit": 2, "offset": 1})).json()
        assert [row["client_request_id"] for row in page["data"]] == ["kw-3", "kw-2"]
        assert page["pagination"] == {"limit": 2, "offset": 1, "total": 5, "has_more": True}
        assert page["data"][0]["inference_id"] == caller.simulator.tasks[3].id
        assert page["data"][0]["cost"] == {"usd": 0.5, "credits": 1_000_000}
        failed = (await get("/v2/logs", params={"status": "failed"})).json()["data"]
        assert [row["client_request_id"] for row in failed] == ["kw-1"]
        assert len((await get("/v2/logs", params={"period": "150s"})).json()["data"]) == 2
        assert (await get("/v2/logs", params={"model": "other"})).json()["data"] == []
        created = page["data"][0]["created"]
        between = (await get("/v2/logs", params={"start": created.replace(".", ".000")[:19] + "Z"})).json()
        assert len(between["data"]) == 2
        assert (await get("/v2/logs", params={"end": created[:19] + "Z"})).json()["pagination"]["total"] == 3
        for bad in ({"limit": 0}, {"limit": 101}, {"offset": -1}, {"limit": "x"}, {"period": "soon"}, {"start": "x"}):
            assert (await get("/v2/logs", params=bad)).status_code == 400, bad
        assert (await get("/v2/logs", params={"status": "queued"})).status_code == 400


async def test_logs_appear_late_if_asked_to() -> None:
    async with calling(small(log_delay=30)) as caller:
        await caller.accepted()
        assert (await caller.client.get("/v2/logs")).json()["data"] == []
        caller.clock.forward(31)
        assert len((await caller.client.get("/v2/logs")).json()["data"]) == 1


async def test_logs_refuse_the_two_hundred_and_first_request_of_a_minute() -> None:
    async with calling() as caller:
        answers = [(await caller.client.get("/v2/logs")).status_code for _ in range(201)]
        assert answers == [200] * 200 + [429]
        caller.clock.forward(61)
        assert (await caller.client.get("/v2/logs")).status_code == 200


async def test_a_charge_lands_after_completion_and_names_the_generation() -> None:
    async with calling(small(charge_delay=5)) as caller:
        generation_id = await caller.accepted()
        task = caller.simulator.tasks[0]
        caller.clock.forward(task.total_seconds + 1)
        assert (await caller.retrieve(generation_id)).json()["status"] == "completed"
        assert (await caller.client.get("/v2/billing/transactions")).json()["data"] == []
        caller.clock.forward(5)
        rows = (await caller.client.get("/v2/billing/transactions")).json()["data"]
        assert [(row["reference_id"], row["amount"]) for row in rows] == [(generation_id, -0.5)]
        assert (await caller.client.get("/v2/billing")).json()["current_balance"] == 999.5


async def test_two_submissions_never_take_the_same_last_credit(monkeypatch: pytest.MonkeyPatch) -> None:
    async with calling(small(credits=3_000_000)) as caller:
        listed = caller.simulator.store.tasks
        # Time passes between looking at the account and booking: enough for the others to look as well.
        monkeypatch.setattr(caller.simulator.store, "tasks", lambda: (listed(), time.sleep(0.02))[0])
        answers = await asyncio.gather(*(caller.submit(prompt=str(number)) for number in range(12)))
        assert sorted(answer.status_code for answer in answers) == [201] * 3 + [403] * 9
