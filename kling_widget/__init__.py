"""Turn an image into a video inside a notebook, with Kling through the AI/ML API.

>>> import kling_widget as kw
>>> kw.KlingWidget()                                              # doctest: +SKIP
>>> video = kw.generate("cat.png", "slow dolly in", duration=5)   # doctest: +SKIP
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

# Each name is imported when it is first used: `import kling_widget` costs a few milliseconds. Type checkers read
# the same names from __init__.pyi (tests/unit/test_package.py compares the two).
_ROOMS = {
    "api": ("balance", "generate", "generations", "resume", "spending", "submit"),
    "batch_api": ("batch", "sweep"),
    "batch_results": ("Results",),
    "batches": ("Batch",),
    "client": ("Client",),
    "errors": (
        "AuthenticationError",
        "BudgetExceededError",
        "ClusterError",
        "DownloadError",
        "ExportError",
        "GenerationFailedError",
        "ImageError",
        "InsufficientCreditsError",
        "InvalidRequestError",
        "KlingError",
        "MissingKeyError",
        "NotConfirmedError",
        "RateLimitError",
        "ServerError",
        "StoppedWatchingError",
        "StoreError",
        "SubmissionUnknownError",
    ),
    "export": ("export_html",),
    "generation": ("Generation",),
    "images": ("SourceImage",),
    "magics": ("load_ipython_extension", "unload_ipython_extension"),
    "money": ("Spending",),
    "motion": ("CameraConfig", "CameraControl", "DynamicMask", "Point"),
    "request": ("ImageToVideoRequest",),
    "row_results": ("Result",),
    "studio": ("Studio",),
    "task": ("Task",),
    "video": ("Video",),
    "widget": ("KlingWidget",),
}
_ROOM_OF = {name: room for room, names in _ROOMS.items() for name in names}

__all__ = list(_ROOM_OF)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _ROOM_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{_ROOM_OF[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
