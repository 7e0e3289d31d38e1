"""The life of a generation over real HTTP: nothing paid for is lost, nothing is paid twice."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
from PIL import Image, ImageDraw

from kling_widget import (
    DownloadError,
    GenerationFailedError,
    ImageError,
    InvalidRequestError,
    MissingKeyError,
    Studio,
    SubmissionUnknownError,
    picture_codec,
    retry,
    saving,
)
from kling_widget.kept_pictures import kept_picture
from kling_widget.simulator import Fault
from kling_widget.studios import studio_for
from kling_widget.workspace import Workspace
from tests.integration.conftest import KEY, studio_on, submissions
from tests.integration.simulator_fixtures import picture
from tests.unit.picture_samples import noisy_photo

DEADLINE = 60.0
"""Seconds a test waits before it gives up; usually a generation takes one."""
UNHEARD = {
    "status": "submitting",
    **dict.fromkeys(("generation_id", "accepted", "completed", "saved", "video_url")),
}
"""A row as a process leaves it that died during the POST: it is written, the answer never came."""


@pytest.fixture
def cat(tmp_path):
    path = tmp_path / "cat.png"
    path.write_bytes(picture((640, 360)))
    return path


def test_from_a_picture_to_a_saved_video(studio, server, cat):
    news = []
    generation = studio.submit(cat, "slow dolly in", duration=5, cfg_scale=0)
    generation.on_change(lambda each: news.append(each.status))
    video = generation.wait(DEADLINE)
    assert (video.width, video.height) == (160, 90)
    assert video.path.parent == studio.workspace.path / "videos"
    assert video.metadata["prompt"] == "slow dolly in"
    assert video.metadata["generation_id"] == generation.id == server.simulator.tasks[0].id
    assert json.loads(video.path.with_suffix(".json").read_text())["cfg_scale"] == 0
    assert news[-1] == "completed"
    assert not list(video.path.parent.glob("*.part"))


def test_what_a_video_was_made_from_lies_beside_it_before_it_is_called_saved(studio, cat, monkeypatch):
    """Or who is killed in between leaves a torn file that nobody takes away."""
    drop, there = saving._drop_partials, []

    def drop_before_it_is_saved(target):
        there.append(target.with_suffix(".json").exists())
        drop(target)

    monkeypatch.setattr(saving, "_drop_partials", drop_before_it_is_saved)
    generation = studio.submit(cat, "slow dolly in")
    video = generation.wait(DEADLINE)
    assert there[0]
    said = json.loads(video.path.with_suffix(".json").read_text())
    assert said["ledger"]["saved"] == pytest.approx(generation.row.saved, abs=DEADLINE)


def test_the_row_is_there_before_the_post_and_the_id_before_the_first_question(studio, server, cat, monkeypatch):
    seen = {}
    create, retrieve = studio.client.create, studio.client.retrieve

    async def watched_create(request, **options):
        seen["before the POST"] = studio.workspace.ledger.rows()[0]
        return await create(request, **options)

    async def watched_retrieve(generation_id):
        seen.setdefault("before the first GET", studio.workspace.ledger.rows()[0])
        return await retrieve(generation_id)

    monkeypatch.setattr(studio.client, "create", watched_create)
    monkeypatch.setattr(studio.client, "retrieve", watched_retrieve)
    generation = studio.submit(cat, "slow dolly in")
    generation.wait(DEADLINE)
    assert seen["before the POST"].status == "submitting"
    assert seen["before the POST"].client_request_id == submissions(server)[0].headers["x-client-request-id"]
    assert seen["before the first GET"].generation_id == generation.id


def test_the_same_request_and_take_is_one_submission(studio, server, cat):
    first = studio.submit(cat, "slow dolly in")
    assert studio.submit(cat, "slow dolly in") is first
    video = first.wait(DEADLINE)
    assert studio.submit(cat, "slow dolly in").wait(DEADLINE) is video
    assert studio.submit(cat.read_bytes(), "slow dolly in").wait(DEADLINE) is video
    assert len(submissions(server)) == 1
    assert studio.submit(cat, "slow dolly in", take=2).wait(DEADLINE) != video
    assert studio.submit(cat, "slow dolly in", take=np.int64(2), budget=np.int64(100)).row.take == 2
    assert studio.submit(cat, "slow dolly in", take="new").row.take == 3
    assert studio.submit(cat, "slow dolly out").wait(DEADLINE) != video


def test_a_picture_taken_from_an_earlier_request_is_the_same_request(studio, server, tmp_path):
    from PIL import Image

    Image.effect_noise((640, 360), 80).save(tmp_path / "noise.webp")  # is sent as a JPEG, and kept as that
    first = studio.submit(tmp_path / "noise.webp", "slow dolly in")
    kept = kept_picture(studio.workspace, first.row.pictures["image_url"])
    assert kept.data != (tmp_path / "noise.webp").read_bytes()
    assert studio.submit(kept, "slow dolly in") is first


@pytest.mark.parametrize("left", [b"", picture((640, 360))[:200], picture((640, 360), "navy")])
def test_a_kept_picture_that_is_no_longer_what_was_given_is_kept_anew(studio, server, cat, left):
    studio.submit(cat, "slow dolly in").wait(DEADLINE)
    (kept,) = studio.workspace.path.glob("images/*")
    kept.write_bytes(left)
    studio.submit(cat, "slow dolly out").wait(DEADLINE)
    assert kept.read_bytes() == cat.read_bytes()
    first, second = (json.loads(each.body)["image_url"] for each in submissions(server))
    assert first == second


def test_a_kept_picture_that_breaks_off_is_not_sent(studio, server, cat, monkeypatch):
    keep = Workspace.keep_image

    def cut_short(self, sha256, suffix, data):
        kept = keep(self, sha256, suffix, data)
        kept.write_bytes(data[:200])
        return kept

    monkeypatch.setattr(Workspace, "keep_image", cut_short)
    with pytest.raises(ImageError, match="not complete"):
        studio.submit(cat, "slow dolly in").wait(DEADLINE)
    assert not submissions(server)


def test_a_new_process_returns_the_video_that_is_there(studio, server, cat, tmp_path):
    video = studio.submit(cat, "slow dolly in").wait(DEADLINE)
    again = studio_on(server, tmp_path).submit(cat, "slow dolly in").wait(DEADLINE)
    assert again == video
    assert len(submissions(server)) == 1


def test_a_new_process_goes_on_with_what_was_under_way(serve, cat, tmp_path):
    server = serve(time_factor=40)
    first = studio_on(server, tmp_path)
    generation = first.submit(cat, "slow dolly in")
    while generation.id is None:
        pass
    generation.stop()
    second = studio_on(server, tmp_path)
    [taken_up] = second.take_up()
    assert taken_up.id == generation.id
    assert taken_up.wait(DEADLINE).path.exists()
    assert len(submissions(server)) == 1


def test_any_id_can_be_resumed_and_costs_nothing(studio, server, cat, tmp_path):
    made = studio.submit(cat, "slow dolly in")
    made.wait(DEADLINE)
    elsewhere = studio_on(server, tmp_path / "elsewhere")
    assert elsewhere.resume(made.id).wait(DEADLINE).info == made.video.info
    assert elsewhere.resume(made.id) is elsewhere.resume(made.id)
    assert len(submissions(server)) == 1


def test_a_video_that_is_here_is_resumed_without_a_key(studio, server, cat):
    made = studio.submit(cat, "slow dolly in")
    video = made.wait(DEADLINE)
    keyless = Studio(base_url=server.url, workspace=studio.workspace.path)
    asked = len(server.simulator.requests)
    assert keyless.resume(made.id).wait(DEADLINE) == video
    assert len(server.simulator.requests) == asked
    video.path.unlink()
    with pytest.raises(MissingKeyError):
        Studio(base_url=server.url, workspace=studio.workspace.path).resume(made.id)


@pytest.mark.parametrize(
    "fault",
    [
        Fault("submit", "drop_after"),
        Fault("submit", "empty"),
        Fault("submit", "no_id"),
        Fault("submit", "status_code", code=504, accepted=True),
    ],
    ids=lambda fault: fault.kind,
)
def test_a_lost_answer_is_found_in_the_log_and_goes_on(studio, server, cat, fault):
    server.simulator.faults.add(fault)
    generation = studio.submit(cat, "slow dolly in")
    assert generation.wait(DEADLINE).path.exists()
    assert generation.id == server.simulator.tasks[0].id
    assert len(submissions(server)) == 1


@pytest.mark.parametrize("ahead", [890.0, 3600.0, -3600.0, 90_000.0, -90_000.0], ids="{:+g} s".format)
def test_a_lost_answer_is_found_whatever_this_machine_s_clock_says(studio, server, cat, ahead):
    """The vendor's clock is the one that is off here, which is the same."""
    server.simulator.clock = lambda: time.time() - ahead
    server.simulator.faults.add(Fault("submit", "drop_after"))
    assert studio.submit(cat, "slow dolly in").wait(DEADLINE).path.exists()
    assert len(looks(server)) <= 2
    assert len(submissions(server)) == 1


@pytest.mark.parametrize("wrong", [3600.0, -3600.0], ids="{:+g} s".format)
def test_what_was_sent_while_the_clock_was_wrong_is_found_once_it_is_right(
    studio, server, cat, tmp_path, wrong, monkeypatch
):
    monkeypatch.setattr(retry, "LOOKUP_DELAYS", (0.01, 0.01))
    with monkeypatch.context() as meanwhile:
        real = time.time  # which stays the vendor's
        meanwhile.setattr(time, "time", lambda: real() + wrong)
        accepted = studio.submit(cat, "slow dolly in")
        accepted.wait(DEADLINE)
    studio.workspace.ledger.update(accepted.key, **UNHEARD)
    [taken_up] = studio_on(server, tmp_path).take_up()
    assert taken_up.wait(DEADLINE).path.exists()
    assert taken_up.id == accepted.id
    assert len(looks(server)) <= 5
    assert len(submissions(server)) == 1


def looks(server):
    return [each for each in server.simulator.requests if each.path == "/v2/logs"]


def test_what_is_not_in_the_log_stays_unknown_until_a_person_decides(studio, server, cat, monkeypatch):
    monkeypatch.setattr(retry, "LOOKUP_DELAYS", (0.01, 0.01))
    server.simulator.faults.add(Fault("submit", "status_code", code=502))
    generation = studio.submit(cat, "slow dolly in")
    with pytest.raises(SubmissionUnknownError) as caught:
        generation.wait(DEADLINE)
    assert caught.value.may_have_cost
    assert generation.status == "unknown"
    with pytest.raises(SubmissionUnknownError):
        studio.submit(cat, "slow dolly in").wait(DEADLINE)
    with pytest.raises(SubmissionUnknownError):
        caught.value.resolve(DEADLINE)
    assert len(submissions(server)) == 1
    assert studio.orders.place_again(generation).wait(DEADLINE).path.exists()
    assert len(submissions(server)) == 2


def test_a_process_that_died_during_the_post_looks_before_it_sends(studio, server, cat, tmp_path, monkeypatch):
    accepted = studio.submit(cat, "slow dolly in")
    accepted.wait(DEADLINE)
    studio.workspace.ledger.update(accepted.key, **UNHEARD)
    [taken_up] = studio_on(server, tmp_path).take_up()
    assert taken_up.wait(DEADLINE).path.exists()
    assert taken_up.id == accepted.id
    assert len(submissions(server)) == 1


@pytest.mark.parametrize("word", ["waiting", "active", "succeeded", "baking bread", ""])
def test_a_word_we_do_not_know_means_wait(studio, server, cat, word):
    server.simulator.faults.add(Fault("retrieve", "word", word=word, times=2))
    assert studio.submit(cat, "slow dolly in").wait(DEADLINE).path.exists()


def test_a_failure_reaches_the_person_with_its_name_and_message(studio, server, cat):
    generation = studio.submit(cat, "slow dolly in [fail]")
    with pytest.raises(GenerationFailedError) as caught:
        generation.wait(DEADLINE)
    assert caught.value.generation_id == generation.id
    assert generation.row.error_name in str(caught.value)
    assert caught.value.vendor_message in generation.row.error_message
    assert generation.status == "error"
    assert studio.submit(cat, "slow dolly in [fail]") is not generation  # never charged: it may be tried again


@pytest.mark.parametrize(
    "fault",
    [
        Fault("retrieve", "status_code", code=500, times=3),
        Fault("retrieve", "status_code", code=429, retry_after=1, times=2),
        Fault("retrieve", "drop_before", times=3),
        Fault("retrieve", "empty", times=2),
        Fault("retrieve", "garbage", times=2),
        Fault("retrieve", "lost", times=2),
        Fault("download", "drop_midway", times=2),
        Fault("download", "drop_before", times=2),
        Fault("download", "status_code", code=503, times=2),
        Fault("download", "wrong_length"),
        Fault("download", "html"),
        Fault("download", "truncated"),
        Fault("download", "expired"),
    ],
    ids=lambda fault: f"{fault.where}-{fault.kind}-{fault.code}",
)
def test_trouble_on_the_way_does_not_lose_the_video(studio, server, cat, fault):
    server.simulator.faults.add(fault)
    video = studio.submit(cat, "slow dolly in").wait(DEADLINE)
    assert video.info.frames > 0
    assert not list(video.path.parent.glob("*.part"))
    assert len(submissions(server)) == 1


def test_a_web_page_instead_of_a_video_is_never_saved_as_one(studio, server, cat):
    server.simulator.faults.add(Fault("download", "html", times=None))
    generation = studio.submit(cat, "slow dolly in")
    with pytest.raises(DownloadError, match="not an MP4") as caught:
        generation.wait(DEADLINE)
    assert caught.value.generation_id == generation.id
    assert not list(studio.workspace.path.glob("videos/*.mp4"))
    server.simulator.faults.clear()
    generation.watch()
    assert generation.wait(DEADLINE).path.exists()


def test_the_download_carries_no_key(studio, server, cat):
    studio.submit(cat, "slow dolly in").wait(DEADLINE)
    downloads = [each for each in server.simulator.requests if each.path.endswith(".mp4")]
    assert downloads
    assert all("authorization" not in each.headers for each in downloads)


def test_a_video_that_was_deleted_is_fetched_again_without_paying(studio, server, cat, tmp_path):
    video = studio.submit(cat, "slow dolly in").wait(DEADLINE)
    video.path.unlink()
    assert studio_on(server, tmp_path).submit(cat, "slow dolly in").wait(DEADLINE).path.exists()
    assert len(submissions(server)) == 1


def test_a_clip_continued_from_one_that_is_fetched_again_is_not_paid_again(studio, server, cat):
    def notebook():
        first = studio.submit(cat, "dolly in").wait(DEADLINE)
        return first, studio.submit(first, "and on", send_anyway=True).wait(DEADLINE)

    first, second = notebook()
    sealed = first.path.read_bytes()
    first.path.unlink()
    fetched, same = notebook()
    assert fetched.path.read_bytes() != sealed  # it says when it was saved
    assert same.path == second.path
    assert len(submissions(server)) == 2


def test_a_folder_and_a_link_to_it_are_one_workspace(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "clips").symlink_to(tmp_path / "disk")
    linked = studio_for(workspace=tmp_path / "clips", simulate=True)
    assert linked is studio_for(workspace=tmp_path / "disk", simulate=True)
    assert linked.workspace.path == tmp_path / "clips"


def test_a_last_frame_and_masks_are_sent_from_whatever_a_person_holds(studio, server, cat):
    import numpy as np

    mask = np.zeros((360, 640), np.uint8)
    tail = np.full((360, 640, 3), 0.5)
    path = [{"x": 0, "y": 0}, {"x": 9, "y": 9}]
    masks = {"static_mask": mask, "dynamic_masks": [{"mask": mask, "trajectories": path}]}
    studio.submit(cat, "p", tail_image=tail, **masks, send_anyway=True).wait(DEADLINE)
    body = json.loads(submissions(server)[0].body)
    for sent in (body["image_url"], body["tail_image_url"], body["static_mask"], body["dynamic_masks"][0]["mask"]):
        assert sent.startswith("data:image/png;base64,")
    row = studio.workspace.ledger.rows()[0]
    assert "base64" not in json.dumps(row.request)
    assert KEY not in json.dumps(row.request)


@pytest.mark.parametrize(
    "masks",
    [{"mask": "m.png", "trajectories": []}, "m.png", 5, ["m.png"], [Image.new("L", (640, 360))]],
    ids=["one mask", "a name", "a number", "names", "pictures"],
)
def test_what_are_no_dynamic_masks_is_one_sentence(studio, server, cat, masks):
    with pytest.raises(InvalidRequestError, match="a list of masks, each with its mask and trajectories, not"):
        studio.submit(cat, "p", dynamic_masks=masks)
    assert not submissions(server)


@pytest.mark.parametrize("field", ["image", "tail_image"])
def test_a_photo_that_may_lie_on_its_side_is_told_before(studio, server, tmp_path, field):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (640, 400), "teal").save(tmp_path / "phone.jpg", exif=exif)
    turned = {"image": picture((400, 640)), field: Image.open(tmp_path / "phone.jpg").rotate(270, expand=True)}
    with pytest.raises(ImageError, match=r"may lie on its side.*exif_transpose") as caught:
        studio.submit(prompt="p", **turned)
    assert (caught.value.field, caught.value.advice) == (f"{field}_url", True)
    assert not submissions(server)
    studio.submit(prompt="p", **turned, send_anyway=True).wait(DEADLINE)


@pytest.mark.parametrize("field", ["static_mask", "dynamic_masks"])
def test_a_mask_painted_on_transparent_ground_is_told_before(studio, server, cat, field):
    """As paint programs save a layer: white strokes, which on white are none."""
    layer = Image.new("RGBA", (640, 360))
    ImageDraw.Draw(layer).ellipse((100, 100, 300, 300), fill="white")
    path = [{"x": 0, "y": 0}, {"x": 9, "y": 9}]
    mask = layer if field == "static_mask" else [{"mask": layer, "trajectories": path}]
    with pytest.raises(InvalidRequestError, match="may not see what is painted") as caught:
        studio.submit(cat, "p", **{field: mask})
    assert (caught.value.field, caught.value.advice) == (field, True)
    assert not submissions(server)
    studio.submit(cat, "p", **{field: mask}, send_anyway=True).wait(DEADLINE)


def test_a_path_in_a_picture_that_is_sent_smaller_is_told_before(studio, server, monkeypatch):
    monkeypatch.setattr(picture_codec, "MAX_BYTES", 500_000)  # instead of a picture of some 30 MB
    photo = noisy_photo(1600, 1200)
    path = [{"x": 0, "y": 0}, {"x": 1500, "y": 9}]
    masks = {"dynamic_masks": [{"mask": Image.new("L", (1600, 1200)), "trajectories": path}]}
    with pytest.raises(InvalidRequestError, match=r"not 1600 × 1200 px\. Scale the points with it") as caught:
        studio.submit(photo, "p", **masks)
    assert caught.value.advice
    assert not submissions(server)
    studio.submit(photo, "p", **masks, send_anyway=True).wait(DEADLINE)
    assert json.loads(submissions(server)[0].body)["dynamic_masks"][0]["trajectories"] == path


def test_in_marimo_a_generation_is_its_video_or_why_there_is_none(studio, cat):
    made = studio.submit(cat, "slow <i>dolly</i> in")
    made.wait(DEADLINE)
    failed = studio.submit(cat, "slow <i>dolly</i> in [fail]")
    with pytest.raises(GenerationFailedError):
        failed.wait(DEADLINE)
    assert "<video" in made._mime_()[1]
    kind, told = failed._mime_()
    assert kind == "text/html"
    assert "<i>" not in told
    assert "rejected by the content filter" in told
