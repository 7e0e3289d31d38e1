"""Colab and VS Code, by a stand-in: neither can be run here (`tests/e2e/standin`). A test that passes shows that the
widget and the outputs keep to the rules known of these hosts, and not that they work in them."""

from __future__ import annotations

import re
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from kling_widget.simulator import SimulatorServer, SimulatorSettings
from kling_widget.video import Video
from tests.e2e.conftest import FAILED, RESULTS
from tests.e2e.people import IMAGES, MADE, assert_plays, choose, fill_in, generations, press_generate
from tests.e2e.standin import standin
from tests.e2e.standin.bridge import Bridge
from tests.e2e.standin.rules import COLAB, VSCODE, Rules
from tests.e2e.standin.standin import StandIn
from tests.e2e.test_uploads import digest, photograph
from tests.unit.media_samples import make_clip

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator

KEY = "sk-test-of-standins"

PROBE = """
import anywidget, traitlets

class Probe(anywidget.AnyWidget):
    _esm = '''
    async function render({ model, el }) {
        const initial = model.get("initial")?.byteLength ?? "none";
        const resolved = await model.widget_manager.resolveUrl("files/a.mp4").catch(({ name }) => name);
        el.textContent = `initial: ${initial}, ${resolved}`;
        const tell = (buffer) => (el.textContent = `${buffer.constructor.name} of ${buffer.byteLength}`);
        model.on("msg:custom", (_, [buffer]) => tell(buffer));
        el.append(Object.assign(new Image(), { src: "files/a.mp4" }));
        for (const size of [999_000, 1_000_000, 5]) model.send({}, undefined, [new ArrayBuffer(size)]);
    }
    export default { render };
    '''
    initial = traitlets.Bytes(b"12345").tag(sync=True)

heard = []
p = Probe()
p.on_msg(lambda _widget, _content, buffers: heard.append(buffers[0].nbytes))
p
"""
"""A widget that looks around: what a host lets through, and as what."""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What runs in the frames."""
    return standin.build(tmp_path_factory.mktemp("standin"))


@pytest.fixture(scope="module")
def vendor() -> Generator[SimulatorServer]:
    """The vendor's API over real HTTP, in a hurry, with small videos."""
    with SimulatorServer(SimulatorSettings(time_factor=100, long_edge=160, api_keys=frozenset({KEY}))) as server:
        yield server


def bridged(rules: Rules, bundle: Path, folder: Path) -> Generator[Bridge]:
    """One kernel for all tests of a host."""
    bridge = standin.start(rules, bundle, folder)
    bridge.run("import kling_widget as kw, os")
    yield bridge
    bridge.stop()


@pytest.fixture(scope="module")
def colab_bridge(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Generator[Bridge]:
    """Colab's rules, with the versions of ipykernel and IPython that it has."""
    yield from bridged(COLAB, bundle, tmp_path_factory.mktemp("colab"))


@pytest.fixture(scope="module")
def vscode_bridge(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Generator[Bridge]:
    """VS Code's rules."""
    yield from bridged(VSCODE, bundle, tmp_path_factory.mktemp("vscode"))


def opened(bridge: Bridge, browser: Browser, request: pytest.FixtureRequest) -> Generator[StandIn]:
    """A page of its own. An error on its console, a message too large, or a request for a file fails the test."""
    page = StandIn(bridge, browser)
    yield page
    if request.node.stash.get(FAILED, False) or page.problems:
        page.page.screenshot(path=RESULTS / f"{request.node.name}.png")
    page.page.close()
    assert (page.problems, bridge.dropped, bridge.strays) == ([], [], [])


@pytest.fixture
def colab(colab_bridge: Bridge, browser: Browser, request: pytest.FixtureRequest) -> Generator[StandIn]:
    """Colab's stand-in."""
    yield from opened(colab_bridge, browser, request)


@pytest.fixture
def vscode(vscode_bridge: Bridge, browser: Browser, request: pytest.FixtureRequest) -> Generator[StandIn]:
    """VS Code's stand-in."""
    yield from opened(vscode_bridge, browser, request)


@pytest.fixture(params=["colab", "vscode"])
def host(request: pytest.FixtureRequest) -> StandIn:
    """One after the other."""
    return request.getfixturevalue(request.param)


def open_widget(host: StandIn, folder: Path, arguments: str = "simulate=True", name: str = "w") -> Locator:
    """Runs a cell with a widget whose workspace is in `folder`; its output."""
    output = host.run(f"{name} = kw.KlingWidget(workspace={str(folder)!r}, {arguments})\n{name}")
    expect(output.get_by_label("First frame", exact=True)).to_be_attached()
    host.look_at(output)
    return output


def assert_shown(picture: Locator) -> None:
    """A picture that has pixels."""
    expect(picture).to_be_visible()
    picture.evaluate("picture => picture.decode()")


def test_from_a_picture_to_a_playing_video(host: StandIn, tmp_path: Path) -> None:
    output = open_widget(host, tmp_path)
    expect(output.get_by_text("No key found")).to_be_visible()
    fill_in(output)
    press_generate(output)
    entry = generations(output)
    expect(entry).to_contain_text("Ready", timeout=MADE)
    assert_shown(output.locator("[data-slot=first_frame] img"))
    assert_shown(entry.locator("img"))

    inline = output.locator("figure video")
    expect(inline).to_have_attribute("src", re.compile("^data:video/mp4;base64,"))
    assert_plays(inline, (960, 640))
    expect(output.locator("figcaption")).to_contain_text("The rocket clears the tower")
    expect(output.locator("figcaption")).to_contain_text("simulated")

    entry.get_by_role("button", name="Play").click()
    expect(entry.locator("video")).to_have_attribute("src", re.compile("^blob:null/"))
    assert_plays(entry.locator("video"), (960, 640))


def test_two_videos_are_compared_where_their_bytes_come_from_the_kernel(
    host: StandIn, vendor: SimulatorServer, tmp_path: Path
) -> None:
    paid = f"api_key={KEY!r}, base_url={vendor.url!r}"
    there = f"workspace={str(tmp_path)!r}, {paid}, progress=False"
    host.run(f"for n in (5, 10): kw.submit({str(IMAGES / 'rocket.jpg')!r}, f'of {{n}} s', duration=n, {there})")
    output = open_widget(host, tmp_path, paid)
    expect(generations(output).filter(has_text="Ready")).to_have_count(2, timeout=MADE)
    for entry in generations(output).all():
        entry.get_by_role("button", name="Compare").press("Enter")
    videos = output.get_by_role("region", name="Comparison").locator("video")
    expect(videos).to_have_count(2)
    for video in videos.all():
        assert_plays(video, (160, 106))


def test_a_20_mb_photograph_goes_up_whole_in_messages_below_the_limit(colab: StandIn, tmp_path: Path) -> None:
    photo = photograph(tmp_path / "harbour.jpg", 1)
    assert photo.stat().st_size > 19_000_000
    output = open_widget(colab, tmp_path)
    choose(output, "First frame", photo)
    expect(output.locator(".kw-note", has_text="First frame")).to_be_visible(timeout=MADE)
    assert colab.evaluate("[w.image.sha256, w.image.source_size]") == [digest(photo), photo.stat().st_size]
    assert_shown(output.locator("[data-slot=first_frame] img"))


def test_outputs_of_one_kernel_work_in_frames_of_their_own(
    colab: StandIn, vendor: SimulatorServer, tmp_path: Path
) -> None:
    paid = f"api_key={KEY!r}, base_url={vendor.url!r}"
    rocket = open_widget(colab, tmp_path / "rocket", paid, name="rocket")
    cat = open_widget(colab, tmp_path / "cat", paid, name="cat")
    again = colab.run("rocket")
    fill_in(rocket, "The rocket clears the tower")
    fill_in(cat, "The cat yawns", IMAGES / "chelsea.png")
    for output in (rocket, cat):
        colab.look_at(output)
        press_generate(output)
    for output, words in ((rocket, "rocket"), (cat, "cat"), (again, "rocket")):
        expect(generations(output)).to_contain_text("Ready", timeout=MADE)
        expect(generations(output)).to_contain_text(f"The {words}")
    expect(again.get_by_role("textbox", name="Prompt", exact=True)).to_have_value("The rocket clears the tower")
    assert len(colab.page.frames) == 1 + 3
    for output in (again, cat):
        colab.look_at(output)
        # By keyboard: a click goes to the frame that Chromium believes to be there, right after scrolling another one.
        generations(output).get_by_role("button", name="Play").press("Enter")
        assert_plays(generations(output).locator("video"), (160, 106))
    colab.look_at(rocket)
    assert_plays(rocket.locator("figure video"), (160, 106))


def test_the_key_comes_from_colab_s_secrets_or_from_the_banner(
    colab: StandIn, vendor: SimulatorServer, tmp_path: Path
) -> None:
    there = f"base_url={vendor.url!r}"
    colab.run(f"""os.environ["FAKE_COLAB_SECRETS"] = '{{"AIMLAPI_KEY": "{KEY}"}}'""")
    output = open_widget(colab, tmp_path / "found", there)
    expect(output.get_by_role("button", name="Generate", exact=True)).to_be_visible()
    expect(output.locator(".kw-banner")).to_have_count(0)
    assert not colab.evaluate("w.simulated")

    colab.run("""os.environ["FAKE_COLAB_SECRETS"] = '{"AIMLAPI_KEY": null}'""")
    output = open_widget(colab, tmp_path / "denied", there)
    expect(output.locator(".kw-banner")).to_contain_text(
        "The Colab secret AIMLAPI_KEY is there, but this notebook may not read it."
    )
    output.get_by_role("button", name="Add a key").click()
    output.get_by_label("API key", exact=True).fill(KEY)
    output.get_by_role("button", name="Save").click()
    expect(output.locator(".kw-banner")).to_have_count(0)
    assert not colab.evaluate("w.simulated")
    colab.run("del os.environ['FAKE_COLAB_SECRETS']")


def padded(path: Path, size: int) -> Path:
    """A clip of exactly so many bytes: what is missing is a box that players skip (ISO 14496-12, `free`)."""
    make_clip(path)
    missing = size - path.stat().st_size
    with path.open("ab") as file:
        file.write(missing.to_bytes(4, "big") + b"free" + bytes(missing - 8))
    return path


def test_the_largest_video_that_is_embedded_plays_and_a_larger_one_is_said_in_words(
    host: StandIn, tmp_path: Path
) -> None:
    largest = padded(tmp_path / "largest.mp4", Video.embed_limit)
    larger = padded(tmp_path / "larger.mp4", Video.embed_limit + 1_000_000)
    output = host.run(f"kw.Video({str(largest)!r}, metadata={{'prompt': 'The largest'}})")
    assert_plays(output.locator("figure video"), (320, 180))
    output = host.run(f"kw.Video({str(larger)!r}, metadata={{'prompt': 'Larger'}})")
    expect(output.locator("figcaption")).to_contain_text("Too large to be embedded in this page: 9 MB")
    expect(output.locator("figcaption")).to_contain_text("larger.mp4")
    assert_shown(output.locator("figure img"))
    expect(output.locator("video")).to_have_count(0)


THEMES = {
    # googlecolab/colabtools#1214: `html[theme=dark]`
    "colab": "theme => document.documentElement.setAttribute('theme', theme)",
    # code.visualstudio.com/api/extension-guides/webview, "Theming Webview content": classes of the body
    "vscode": "theme => document.body.setAttribute('class', `vscode-${theme}`)",
}


def test_the_theme_is_the_host_s_and_not_the_browser_s(host: StandIn, tmp_path: Path) -> None:
    output = open_widget(host, tmp_path)
    prompt = output.get_by_role("textbox", name="Prompt", exact=True)
    frame = host.frame_of(output)
    for browser, theme, background in (("light", "dark", "rgb(15, 17, 21)"), ("dark", "light", "rgb(255, 255, 255)")):
        host.page.emulate_media(color_scheme=browser)
        frame.evaluate(THEMES[host.bridge.rules.name], theme)
        expect(prompt).to_have_css("background-color", background)


def test_the_prompt_is_as_high_as_its_text_up_to_a_point(host: StandIn, tmp_path: Path) -> None:
    prompt = open_widget(host, tmp_path).get_by_role("textbox", name="Prompt", exact=True)
    empty = prompt.evaluate("box => box.clientHeight")
    prompt.fill("The rocket clears the tower, smoke rolls towards us. " * 6)
    assert prompt.evaluate("box => box.clientHeight") > empty
    assert prompt.evaluate("box => box.scrollHeight <= box.clientHeight")
    prompt.fill("The rocket clears the tower, smoke rolls towards us. " * 60)
    assert prompt.evaluate("box => box.scrollHeight > 2 * box.clientHeight")


@pytest.mark.parametrize(
    ("host", "seen", "handed"),
    [
        ("colab", "initial: none, files/a.mp4", "Uint8Array of 3"),
        ("vscode", "initial: 5, TypeError", "DataView of 3"),
    ],
    indirect=["host"],
)
def test_the_stand_in_keeps_the_host_s_rules(host: StandIn, seen: str, handed: str) -> None:
    bridge = host.bridge
    output = host.run(PROBE)
    expect(output).to_contain_text(seen)
    frame = host.frame_of(output)
    assert frame.evaluate("[self.origin, crossOriginIsolated]") == ["null", False]
    host.run("p.send({}, buffers=[b'123'])")
    expect(output).to_contain_text(handed)
    host.run("p.send({}, buffers=[bytes(1_000_000)])\np.send({}, buffers=[b'after'])")
    expect(output).to_contain_text("of 5")
    assert host.evaluate("heard") == [999_000, 5]
    assert [(each.towards, each.size > 1_000_000) for each in bridge.dropped] == [("kernel", True), ("frame", True)]
    assert bridge.strays == ["files/a.mp4"]
    bridge.dropped.clear()
    bridge.strays.clear()
    assert [problem for problem in host.problems if "404" in problem] == host.problems
    host.problems.clear()
