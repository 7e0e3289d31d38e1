"""Pictures kept in the workspace: back into a form, and into the request that is sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .body import Body
from .errors import ImageError
from .images import SourceImage
from .picture_files import check_complete, sniff
from .request import ImageToVideoRequest
from .workspace import Workspace

if TYPE_CHECKING:
    from pathlib import Path

    from .ledger import Row


def kept_picture(workspace: Workspace, facts: Mapping[str, Any]) -> SourceImage:
    """A picture of an earlier request, with the identity of what the person gave then.

    Parameters
    ----------
    workspace
        The folder.
    facts
        What the ledger's row says of it.

    Raises
    ------
    ImageError
        It is no longer there.
    """
    if facts["url"]:
        return SourceImage.load(facts["url"])
    picture = SourceImage.load(_kept(workspace, facts["sha256"])[1], name=facts["name"])
    # As it was sent, which may be a re-encoding; the same request must stay the same one.
    return replace(picture, sha256=facts["sha256"])


def wire_body(workspace: Workspace, row: Row) -> Body:
    """What is sent for a row, with the pictures' bytes in it; read only when its turn to be sent has come.

    All of them before the first byte leaves: a picture that can't be read must not end a submission half way.

    Raises
    ------
    ImageError
        A picture is no longer there, or no longer whole.
    """
    request = ImageToVideoRequest(**row.request)

    def whole(reference: str) -> bytes:
        path, data = _kept(workspace, reference.removeprefix("sha256:"))
        check_complete(data, sniff(data, path.name), path.name)
        return data

    return Body(request.body(), whole)


def _kept(workspace: Workspace, sha256: str) -> tuple[Path, bytes]:
    path = workspace.find_image(sha256)
    if path is None:
        raise ImageError("A picture of this request is no longer in the workspace.", hint="Choose it again.")
    return path, path.read_bytes()
