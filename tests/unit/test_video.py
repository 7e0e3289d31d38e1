"""A saved clip gives its file, its frames and its facts, and shows itself in every host, never as a blank."""

from __future__ import annotations

import base64
import hashlib
import io
import os
from html.parser import HTMLParser
from types import SimpleNamespace

import pytest
from PIL import Image

from kling_widget.errors import DownloadError
from kling_widget.picture_files import human_size
from kling_widget.video import Video
from tests.unit.media_samples import grey_of, make_clip

HOSTILE = """</figcaption><script>alert(1)</script> "><img src=x onerror='alert(2)'> & ünï"""
# JupyterLab 4, packages/apputils/src/sanitizer.ts: what it lets through where a notebook is not trusted.
ALLOWED = {
    "figure": {"style"},
    "figcaption": {"style"},
    "video": {"controls", "height", "loop", "muted", "poster", "preload", "src", "width", "style"},
    "img": {"alt", "height", "src", "width", "style"},
    "small": set(),
    "code": set(),
    "br": set(),
}
NOT_MISSED = {"playsinline", "aria-label"}  # dropped there, and the clip still plays


class Page(HTMLParser):
    """Tags with their attributes, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def __getitem__(self, tag: str) -> dict[str, str | None]:
        return next((attributes for name, attributes in self.tags if name == tag), {})


@pytest.fixture(autouse=True)
def notebook(monkeypatch, tmp_path):
    for name in ("VSCODE_PID", "SERVER_SOFTWARE", "JPY_SESSION_NAME", "JPY_PARENT_PID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def clip(tmp_path):
    (tmp_path / "kling_videos" / "videos").mkdir(parents=True)
    return make_clip(tmp_path / "kling_videos" / "videos" / "a clip.mp4", size=(640, 360))


METADATA = {"prompt": "slow dolly in", "duration": 5, "cfg_scale": 0.5, "take": 2, "simulated": True}


def test_a_video_gives_its_file_its_frames_and_its_facts(clip):
    video = Video(clip, url="https://vendor.example/x?sig=1", metadata=METADATA)
    assert video.bytes() == clip.read_bytes()
    assert (video.path, os.fspath(video), video.size) == (clip, str(clip), clip.stat().st_size)
    assert (video.width, video.height, video.url) == (640, 360, "https://vendor.example/x?sig=1")
    assert video.duration == pytest.approx(2.0, abs=0.01)
    assert abs(video.first_frame.getpixel((9, 9))[0] - grey_of(0)) <= 1
    assert abs(video.last_frame.getpixel((9, 9))[0] - grey_of(49)) <= 1
    assert Image.open(io.BytesIO(video.poster)).format == "JPEG"
    assert video.poster is video.poster
    assert video.metadata == METADATA
    assert video.metadata is not METADATA


def test_a_video_is_equal_by_its_path(clip, tmp_path):
    assert Video(clip) == Video(str(clip), metadata={"take": 1})
    assert len({Video(clip), Video("kling_videos/videos/a clip.mp4")}) == 1
    assert Video(clip) != Video(tmp_path / "b.mp4")
    assert Video(clip) != str(clip)


def test_a_relative_path_stays_true_after_chdir(clip, monkeypatch, tmp_path):
    video = Video("kling_videos/videos/a clip.mp4")
    monkeypatch.chdir("/")
    assert video.bytes() == clip.read_bytes()


def test_the_caption_says_what_it_was_made_from(clip):
    assert Video(clip, metadata=METADATA).caption == "slow dolly in · 5 s · CFG 0.5 · take 2 · 640 × 360 · simulated"
    assert Video(clip, metadata={"prompt": "x", "cfg_scale": 0}).caption == "x · 2 s · CFG 0 · 640 × 360"
    assert Video(clip).caption == "2 s · 640 × 360"
    paid = {"usd": 0.66, "provider": "https://api.example"}
    assert Video(clip, metadata=paid).caption == "2 s · 640 × 360 · $0.66"
    assert Video(clip, metadata={"usd": 0.0, "provider": "simulator"}).caption == "2 s · 640 × 360"


def test_in_jupyter_the_player_loads_the_file_beside_the_notebook(clip):
    page = Page(Video(clip, metadata=METADATA).html())
    video = page["video"]
    assert video["src"] == "kling_videos/videos/a%20clip.mp4"
    assert {"controls", "loop", "muted", "playsinline"} <= set(video)
    assert video["preload"] == "metadata"
    assert video["poster"].startswith("data:image/webp;base64,")
    assert page["img"]["src"].startswith("data:image/jpeg;base64,")
    assert page["img"]["alt"] == "slow dolly in"
    assert [tag for tag, _ in page.tags][:3] == ["figure", "video", "img"]
    assert "slow dolly in" in page.text
    assert "5 s · CFG 0.5 · take 2 · 640 × 360 · simulated" in page.text


def test_a_notebook_grows_by_little(tmp_path):
    clip = make_clip(tmp_path / "noise.mp4", frames=2, size=(1920, 1080), noise=True)  # the worst of posters
    assert len(Video(clip, metadata={"prompt": HOSTILE * 100}).html()) < 40_000
    assert len(Video(clip, metadata=METADATA).html()) < 26_000


def test_nothing_people_wrote_becomes_markup(tmp_path):
    clip = make_clip(tmp_path / """x"><script>alert(3)<'&.mp4""".replace("/", ""), frames=2)
    metadata = dict.fromkeys(("prompt", "negative_prompt", "take", "provider"), HOSTILE)
    for make in (lambda v: v.html(), lambda v: v.html("colab"), lambda v: v.html("page")):
        for limit in (8_000_000, 0):
            video = type("Small", (Video,), {"embed_limit": limit})(clip, metadata=metadata)
            page = Page(make(video))
            assert {tag for tag, _ in page.tags} <= set(ALLOWED)
            assert not {name for _, attributes in page.tags for name in attributes if name.startswith("on")}
            assert HOSTILE in page.text
    clip.unlink()
    assert {tag for tag, _ in Page(video.html()).tags} <= set(ALLOWED)


def test_only_what_jupyterlab_lets_through_is_relied_on(clip):
    for tag, attributes in Page(Video(clip, metadata=METADATA).html()).tags:
        assert set(attributes) - NOT_MISSED <= ALLOWED[tag]


def test_where_the_page_loads_no_files_a_small_clip_is_embedded(clip):
    for host in ("colab", "vscode", "page"):
        source = Page(Video(clip, metadata=METADATA).html(host))["video"]["src"]
        assert base64.b64decode(source.removeprefix("data:video/mp4;base64,")) == clip.read_bytes()


def test_the_host_it_runs_in_is_the_default(clip, monkeypatch):
    monkeypatch.setenv("VSCODE_PID", "1")
    assert Page(Video(clip).html())["video"]["src"].startswith("data:video/mp4")


def test_a_hidden_or_distant_file_is_embedded_in_jupyter_too(clip, monkeypatch, tmp_path):
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    assert Page(Video(clip).html())["video"]["src"].startswith("data:video/mp4")


def test_what_cannot_be_embedded_shows_its_poster_and_where_it_is(clip, monkeypatch):
    monkeypatch.setattr(Video, "embed_limit", 100)
    page = Page(Video(clip, metadata=METADATA).html("colab"))
    assert page["video"] == {}
    assert page["img"]["src"].startswith("data:image/jpeg")
    assert "Too large to be embedded" in page.text
    assert os.path.join("kling_videos", "videos", "a clip.mp4") in page.text


def test_a_lost_file_is_told(tmp_path):
    video = Video(tmp_path / "gone.mp4", metadata=METADATA | {"generation_id": "abc"})
    page = Page(video.html())
    assert "The file gone.mp4 is not there any more" in page.text
    assert "slow dolly in" in page.text
    assert "gone.mp4" in Page(Video(tmp_path / "gone.mp4").html()).text
    for act in (video.bytes, lambda: video.size, lambda: video.width, lambda: video.poster, lambda: video.last_frame):
        with pytest.raises(DownloadError, match=r"gone\.mp4 .*not there any more"):
            act()
    with pytest.raises(DownloadError) as caught:
        video.bytes()
    assert caught.value.generation_id == "abc"


def test_embed_gives_the_same_clip_as_a_part_of_the_page(clip):
    video = Video(clip, metadata=METADATA)
    embedded = video.embed()
    for page in (
        Page(embedded.html()),
        Page(embedded.html("jupyter")),
        Page(embedded._repr_html_()),
    ):
        data = page["video"]["src"].removeprefix("data:video/mp4;base64,")
        assert base64.b64decode(data) == clip.read_bytes()
        assert f"embedded: adds {human_size(len(data))} to the notebook" in page.text
    assert embedded == video
    assert repr(embedded) == f"{video!r}.embed()"
    assert not Page(video.html())["video"]["src"].startswith("data:"), "the clip itself is as it was"


def test_embed_says_what_to_do_above_its_limit(clip, monkeypatch):
    monkeypatch.setattr(Video, "embed_limit", 100)
    size = clip.stat().st_size
    for embedded in (Video(clip).embed(), Video(clip).embed(limit=size - 1)):
        page = Page(embedded.html())
        assert page["video"] == {}
        assert page["img"]["src"].startswith("data:image/jpeg")
        assert f"embed(limit={size})" in page.text
        assert "save(path)" in page.text
    assert Page(Video(clip).embed(limit=size).html())["video"]


def test_an_embedded_clip_is_shown_in_the_cell_that_made_it(clip, monkeypatch):
    monkeypatch.setattr("kling_widget.notebook_files.kernel_shell", lambda: SimpleNamespace(execution_count=3))
    video = Video(clip)
    video.shown_in_cell = 3
    assert video._repr_html_() is None
    assert video.embed()._repr_html_()


def test_an_upright_clip_takes_no_more_than_its_share_of_the_page(tmp_path):
    clip = make_clip(tmp_path / "tall.mp4", frames=2, size=(360, 640))
    assert Page(Video(clip).html())["video"]["width"] == "270"


def test_ipython_gets_page_and_text_and_never_bytes_of_the_video(clip):
    from IPython.core.formatters import DisplayFormatter

    video = Video(clip, metadata=METADATA)
    data, _ = DisplayFormatter().format(video)
    assert set(data) == {"text/html", "text/plain"}
    assert data["text/plain"] == repr(video) == f"Video({os.path.join('kling_videos', 'videos', 'a clip.mp4')!r})"
    assert video._repr_html_() == data["text/html"]


def test_a_cell_that_shows_the_clip_already_does_not_show_it_again_for_its_last_line(clip, monkeypatch):
    from IPython.core.formatters import DisplayFormatter

    video = Video(clip, metadata=METADATA)
    video.shown_in_cell = 3  # as generate() does
    monkeypatch.setattr("kling_widget.notebook_files.kernel_shell", lambda: SimpleNamespace(execution_count=3))
    assert DisplayFormatter().format(video)[0] == {"text/plain": repr(video)}
    monkeypatch.setattr("kling_widget.notebook_files.kernel_shell", lambda: SimpleNamespace(execution_count=4))
    assert "<video" in DisplayFormatter().format(video)[0]["text/html"]


def test_the_vendor_s_signed_address_is_not_shown(clip):
    video = Video(clip, url="https://vendor.example/x?sig=secret", metadata=METADATA)
    assert "secret" not in video.html() + repr(video) + video.caption


def test_saving_copies_under_a_name_or_into_a_folder(clip, tmp_path):
    video = Video(clip)
    (tmp_path / "kept").mkdir()
    assert video.save(tmp_path / "kept") == tmp_path / "kept" / "a clip.mp4"
    assert video.save(f"{tmp_path}/new/") == tmp_path / "new" / "a clip.mp4"
    assert video.save(str(tmp_path / "deep" / "best.mp4")) == tmp_path / "deep" / "best.mp4"
    for copy in ("kept/a clip.mp4", "new/a clip.mp4", "deep/best.mp4"):
        assert (tmp_path / copy).read_bytes() == clip.read_bytes()
    assert sorted(os.listdir(tmp_path / "deep")) == ["best.mp4"]


def test_saving_never_overwrites_another_file_unasked(clip, tmp_path):
    other = tmp_path / "other.mp4"
    other.write_bytes(b"precious")
    with pytest.raises(FileExistsError, match="overwrite=True"):
        Video(clip).save(other)
    assert other.read_bytes() == b"precious"
    Video(clip).save(other, overwrite=True)
    assert hashlib.sha256(other.read_bytes()).digest() == hashlib.sha256(clip.read_bytes()).digest()
    assert Video(clip).save(other) == other  # the same file: nothing to do
    assert Video(clip).save(clip) == clip


def test_saving_a_lost_file_leaves_nothing_behind(tmp_path):
    with pytest.raises(DownloadError):
        Video(tmp_path / "gone.mp4").save(tmp_path / "copy.mp4")
    assert not (tmp_path / "copy.mp4").exists()
