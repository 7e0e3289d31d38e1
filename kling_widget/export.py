"""`export_html`: a saved notebook as one page with playing videos; also ``python -m kling_widget.export``."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

from .errors import ExportError
from .page_files import PageFiles
from .picture_files import human_size
from .workspace import DEFAULT

LIMIT = 64_000_000  # bytes a file; ours. Browsers take data: addresses of 512 MB (MDN, "data: URLs")
HEAVY = 50_000_000  # bytes a page; ours: from here on mail, Git hosts and small machines have trouble with it


def export_html(
    notebook: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    *,
    workspace: str | os.PathLike[str] | None = None,
    limit: int = LIMIT,
    scripts: bool = False,
) -> Path:
    """Make one HTML page of a saved notebook, with its videos playing in it. Save the notebook first.

    The page needs neither a network nor the files it was made from. It runs no script and fetches nothing: formulas are
    MathML, the widget's panel is a sentence, and what needs a script (Plotly, maps, frames) is told in its place.
    Every video adds a third more than its size, and carries within it what it was made from: prompt, ids and cost.

    Parameters
    ----------
    notebook
        The ``.ipynb`` file.
    output
        The page, or a folder for it; by default beside the notebook, under its name. An older page is replaced.
    workspace
        Where its videos are, if that is not below the notebook's folder. Files from elsewhere are never taken in.
    limit
        Bytes; a larger file is left out, and a sentence takes its place.
    scripts
        Keep scripts, frames and addresses on the web as nbconvert has them. Then the page can do what its notebook can:
        only for notebooks you trust.

    Returns
    -------
    Where the page is.

    Raises
    ------
    ExportError
        The notebook cannot be read, the page cannot be written, or nbconvert is missing.

    Warns
    -----
    UserWarning
        Something was left out, or the page is very large.
    """
    source = Path(notebook).expanduser()
    target = _target(source, output)
    folders = [source.parent, Path(workspace or os.environ.get("KLING_WIDGET_WORKSPACE") or source.parent / DEFAULT)]
    files = PageFiles(source.parent, [folder.expanduser() for folder in folders], limit)
    page, left_out = _page(_read(source), source.stem, files, scripts)
    data = page.encode("utf-8", "replace")
    _write(target, data)
    if left_out:
        told = " ".join(dict.fromkeys(left_out))
        warnings.warn(f"Not everything is in {target.name}. {told}", stacklevel=2)
    if len(data) > HEAVY:
        warnings.warn(
            f"{target.name} is large: {human_size(len(data))}. limit=… leaves out files of more bytes than that.",
            stacklevel=2,
        )
    return target


def _page(notebook: Any, title: str, files: PageFiles, scripts: bool) -> tuple[str, list[str]]:
    from bs4 import BeautifulSoup
    from nbconvert.filters.markdown_mistune import InvalidNotebook

    from . import notebook_page, sealed_page

    try:
        soup = BeautifulSoup(notebook_page.page_of(notebook, title), "html.parser")
    except InvalidNotebook as error:
        raise ExportError(f"{title}.ipynb cannot be made into a page: {error}.") from error
    if not scripts:
        sealed_page.seal(soup)
    left_out = sealed_page.take_in(soup, files, web=scripts)
    return str(soup), left_out


def _read(source: Path) -> Any:
    try:
        import nbconvert  # noqa: F401  # all of it comes with this one
        import nbformat
    except ImportError as error:
        raise ExportError(
            "Making a page of a notebook needs nbconvert, and it is not installed here.",
            hint='pip install "kling-widget[export]" installs it.',
        ) from error
    try:
        notebook = nbformat.reads(source.read_text(encoding="utf-8"), as_version=4)
        nbformat.validate(notebook, relax_add_props=True)
    except OSError as error:
        reason = (error.strerror or "unreadable").lower()
        raise ExportError(f"The notebook {source} cannot be read: {reason}.", hint="Save it first.") from error
    except (ValueError, AttributeError, LookupError, TypeError, nbformat.ValidationError) as error:
        raise ExportError(  # nbformat takes the shape of what it reads for granted
            f"{source} is not a Jupyter notebook, or is damaged.", hint="Open it in Jupyter and save it again."
        ) from error
    return notebook


def _target(source: Path, output: str | os.PathLike[str] | None) -> Path:
    target = source.with_suffix(".html") if output is None else Path(output).expanduser()
    if target.is_dir():
        target /= f"{source.stem}.html"
    if target.resolve() == source.resolve():
        raise ExportError(f"The page would replace the notebook {source}.", hint="Give it another name.")
    return target


def _write(target: Path, data: bytes) -> None:
    """Write the page under another name, then give it its own: an older one stays whole until then."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with open(handle, "wb") as file:
                file.write(data)
            os.chmod(partial, 0o644)  # a page is for others to read
            os.replace(partial, target)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(partial)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ExportError(f"The page {target} cannot be written: {reason}.") from error


def main(arguments: list[str] | None = None) -> int:
    """The command line; 1 and a sentence if there is no page."""
    parser = argparse.ArgumentParser(
        prog="python -m kling_widget.export", description="Makes one HTML page of a notebook, with its videos in it."
    )
    parser.add_argument("notebook", help="the .ipynb file, saved")
    parser.add_argument("-o", "--output", help="the page's file, or a folder for it (default: beside the notebook)")
    parser.add_argument("--workspace", help="where its videos are, if not below its folder")
    parser.add_argument("--limit", type=int, default=LIMIT, metavar="BYTES", help="larger files are left out")
    parser.add_argument("--scripts", action="store_true", help="keep scripts: only for notebooks you trust")
    given = parser.parse_args(arguments)
    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always", UserWarning)
            page = export_html(**vars(given))
    except ExportError as error:
        print(error, file=sys.stderr)
        return 1
    for warning in told:
        if warning.category is UserWarning:
            print(warning.message, file=sys.stderr)
    print(f"{page} ({human_size(page.stat().st_size)})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
