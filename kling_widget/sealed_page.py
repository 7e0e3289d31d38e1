"""A page that is whole in itself: its files become part of it, it runs nothing and asks nobody for anything.

What cannot be shown that way is told in its place, never left blank.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from bs4 import BeautifulSoup
from bs4.element import Doctype, PreformattedString

from .page_files import NotTakenError, PageFiles

if TYPE_CHECKING:
    from bs4.element import Tag

# W3C Content Security Policy Level 3. Without script-src, default-src also forbids event handlers and `javascript:`.
POLICY = (
    "default-src 'none'; img-src data:; media-src data:; font-src data:; style-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'"
)
_FRAMES = "iframe, object, embed, frame, frameset, portal, applet"
# What runs, leads away, or is read by browsers in another way than by this parser.
_UNWANTED = "script, link, base, meta[http-equiv], noscript, noembed, noframes, xmp, plaintext, template"
_OUTPUT = "jp-OutputArea-output"  # nbconvert's class for one output of a cell
_SCRIPT = "A script makes this output, and this page runs none: export_html(…, scripts=True) keeps it."


class _Missing(NamedTuple):
    """Why something is not in the page, and where on the web it is."""

    why: str
    link: str = ""


def take_in(soup: BeautifulSoup, files: PageFiles, *, web: bool) -> list[str]:
    """Put pictures and videos that lie beside the notebook into the page.

    Parameters
    ----------
    web
        Leave addresses on the web as they are; else a link takes their place.

    Returns
    -------
    What is not in the page now, a sentence each.
    """
    left_out = []
    for tag in soup.select("video, audio, img"):
        _replace(tag, "poster", files, web)
        missing = _replace(tag, "src", files, web)
        sources = tag.select("source")
        if sources and not tag.get("src"):
            tried = [_replace(source, "src", files, web) for source in sources]
            missing = tried[0] if all(tried) else None
        if missing is not None:
            left_out.append(f"{missing.why} {missing.link}." if missing.link else missing.why)
            _tell_instead(soup, tag, missing)
    return left_out


def seal(soup: BeautifulSoup) -> None:
    """Take out what runs or fetches, and have the browser refuse the rest."""
    for script in soup.select("script"):
        output = script.find_parent(class_=_OUTPUT)
        if output is not None and _SCRIPT not in output.get_text():
            output.append(_note(soup, _SCRIPT))
    for frame in soup.select(_FRAMES):
        address = str(frame.get("src") or frame.get("data") or "")
        frame.replace_with(_note(soup, "Another page was shown here; it is not part of this one.", address))
    for unwanted in soup.select(_UNWANTED):
        unwanted.decompose()
    for text in list(soup.find_all(string=True)):
        if isinstance(text, PreformattedString) and not isinstance(text, Doctype):
            text.extract()  # comments and the like, whose ends browsers may see elsewhere
    for tag in soup.find_all(True):
        for name in [name for name in tag.attrs if name.startswith("on") or name == "srcset"]:
            del tag[name]
        if _scheme(str(tag.get("href") or "")) in ("javascript", "vbscript"):
            del tag["href"]
    policy = soup.new_tag("meta", attrs={"http-equiv": "Content-Security-Policy", "content": POLICY})
    if soup.head is not None:
        soup.head.insert(0, policy)


def _replace(tag: Tag, attribute: str, files: PageFiles, web: bool) -> _Missing | None:
    """Make an address the file itself, or take it away and say why."""
    address = str(tag.get(attribute) or "").strip()
    on_web = _is_web(address)
    if not address or (on_web and web):
        return None
    try:
        tag[attribute] = files.data_uri(address)
    except NotTakenError as error:
        del tag[attribute]
        return _Missing("This is on the web, and not in this page:", address) if on_web else _Missing(str(error))
    return None


def _tell_instead(soup: BeautifulSoup, tag: Tag, missing: _Missing) -> None:
    """A sentence in place of a picture or player; what stood in the player for readers without one stays."""
    words = str(tag.get("alt") or "") if tag.name == "img" else ""
    if tag.name != "img" and tag.find("img") is None and tag.get("poster"):
        tag.insert_before(soup.new_tag("img", attrs={"src": str(tag["poster"]), "alt": ""}))
    tag.insert_after(_note(soup, f"{words}. {missing.why}" if words else missing.why, missing.link))
    for source in tag.select("source"):
        source.decompose()
    tag.unwrap()


def _note(soup: BeautifulSoup, text: str, link: str = "") -> Tag:
    note = soup.new_tag("small", attrs={"style": "display:block"})
    note.append(text)
    if _is_web(link):
        anchor = soup.new_tag("a", attrs={"href": link})
        anchor.append(link)
        note.append(" ")
        note.append(anchor)
    return note


def _is_web(address: str) -> bool:
    return _scheme(address) in ("http", "https")


def _scheme(address: str) -> str:
    try:
        return urlsplit(address.strip()).scheme
    except ValueError:
        return ""
