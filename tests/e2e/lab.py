"""JupyterLab as the browser tests see it: a server with its own home, and a page in which it is loaded."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from scripts.jupyter import RunningServer, start
from scripts.kernels import KERNELS, NEWEST, jupyter_path
from tests import kernel_sockets
from tests.e2e.notebook import Notebook, write_notebook
from tests.e2e.watched_page import WatchedPage

if TYPE_CHECKING:
    import nbformat
    from playwright.sync_api import Browser, Locator

__all__ = ["CHROMIUM_ARGUMENTS", "IN_PAGE", "KERNELS", "NEWEST", "Lab", "start_server"]

IN_PAGE = Path(__file__).with_name("lab.js")

CHROMIUM_ARGUMENTS = (
    "--autoplay-policy=no-user-gesture-required",
    "--disable-background-networking",
    "--disable-gpu",
    "--no-first-run",
    "--no-sandbox",  # containers have no user namespaces, and the pages are ours
    # Nothing but the server is to be had: a request elsewhere fails, says so on the console, and fails the test.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)

NOISE = {
    r"Could not restore the debugger state: Canceled future": "the debugger's question to a kernel that just ended",
    r"404 \(Not Found\) \(http://127\.0\.0\.1:\d+/(?!files/)[^)]*\.mp4": "asked for before JupyterLab resolves the src",
    r"(?s)reading 'kernel'.*jupyterlab-manager/static/": "the widget manager, in a notebook opened without a kernel",
}
"""Pattern of an error → why it is JupyterLab's own and harmless: what notebooks without our widget complain of, too."""

LOAD_TIMEOUT = 60_000
"""Milliseconds for JupyterLab to load; about 3,000 when the machine has nothing else to do."""


def start_server(home: Path, variables: Mapping[str, str], *, ports: bool = False) -> RunningServer:
    """Starts a JupyterLab with the three kernels, nothing of the user's, and its root in `home`.

    Parameters
    ----------
    home
        An empty folder.
    variables
        Environment variables of the server, and so of every kernel, on top of ours.
    ports
        Whether it speaks to kernels over ports, as it does where users start it (see `tests.kernel_sockets`).
    """
    root = home / "root"
    root.mkdir(parents=True)
    environment = {**os.environ, "JUPYTER_PATH": jupyter_path(), **variables}
    arguments = ["--LabApp.expose_app_in_browser=True"]
    if ports:
        return start(home, root, environment=environment, arguments=arguments)
    arguments.append(kernel_sockets.ARGUMENT)
    return start(home, root, environment=environment, arguments=arguments, runtime=kernel_sockets.runtime_folder())


RESTYLE = "(element, style) => { const before = element.style.cssText; element.style.cssText += style; return before; }"


class Lab(WatchedPage):
    """JupyterLab in one page, in one folder of its own.

    Attributes
    ----------
    folder
        Where this test's notebooks are, below the server's root.
    """

    def __init__(self, server: RunningServer, browser: Browser, folder: Path) -> None:
        super().__init__(server, browser, NOISE)
        self.folder = folder
        self.page.add_init_script(path=IN_PAGE)

    def load(self) -> None:
        """Loads JupyterLab with an empty workspace."""
        self.page.goto(self.server.address("lab?reset"), timeout=LOAD_TIMEOUT)
        self.page.wait_for_function("() => window.jupyterapp?.restored && true", timeout=LOAD_TIMEOUT)
        self.page.evaluate("() => window.lab.ready()")

    def notebook(
        self,
        cells: Sequence[str | nbformat.NotebookNode],
        *,
        kernel: str = NEWEST,
        env: Mapping[str, str] | None = None,
        name: str = "notebook.ipynb",
    ) -> Notebook:
        """Writes a notebook in this test's folder, opens it, and waits for its kernel.

        Parameters
        ----------
        cells
            Sources of code cells, or nbformat cells.
        kernel
            One of `KERNELS`.
        env
            Environment variables for its kernel.
        name
            File name.
        """
        path = self.folder / name
        write_notebook(path, cells, kernel)
        return self.open(path, kernel=kernel, env=env)

    def open(self, path: Path, *, kernel: str | None = NEWEST, env: Mapping[str, str] | None = None) -> Notebook:
        """Opens a notebook that exists below the server's root; ``kernel=None`` opens it without one."""
        notebook = Notebook(self.page, self.server.root, path, kernel, env or {})
        notebook.open()
        return notebook

    def reload(self, notebook: Notebook, *, kernel: str | None = None) -> Notebook:
        """Reloads the page, opens the notebook again, by default without a kernel."""
        self.load()
        return self.open(notebook.path, kernel=kernel, env=notebook.env)

    # Looks

    def theme(self, name: Literal["light", "dark"]) -> None:
        """Changes JupyterLab's theme and waits until it shows."""
        title = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}[name]
        self.page.evaluate("name => window.lab.theme(name)", title)
        self.page.wait_for_selector(f"body[data-jp-theme-name='{title}']", state="attached")

    def screenshot(self, what: Locator, path: Path, *, width: int | None = None) -> Path:
        """A picture of an element, made `width` CSS pixels wide if given; the element gets its width back."""
        path.parent.mkdir(parents=True, exist_ok=True)
        if width is not None:
            # `flex` and the limits, too: a flex item's width alone does not count.
            style = f"flex: none; width: {width}px; min-width: {width}px; max-width: {width}px"
            before = what.evaluate(RESTYLE, style)
        what.screenshot(path=path, animations="disabled")
        if width is not None:
            what.evaluate("(element, before) => { element.style.cssText = before; }", before)
        return path

    # End

    def close(self) -> None:
        """Closes the page, ends all kernels of this test, forgets the settings it changed."""
        self.page.close()
        shutil.rmtree(self.server.home / "settings", ignore_errors=True)
        for session in self.server.ask("api/sessions"):
            self.server.ask(f"api/sessions/{session['id']}", method="DELETE")


def box(what: Locator) -> dict[str, Any]:
    """Place and size of a visible element in CSS pixels."""
    found = what.bounding_box()
    assert found is not None, "not visible"
    return dict(found)
