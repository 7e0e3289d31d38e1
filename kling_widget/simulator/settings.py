"""What can be set about the simulated vendor, and how long its work takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

MODEL = "kling-video/v1.6/pro/image-to-video"
CREDITS_PER_USD = 2_000_000  # the vendor's billing examples, aimlapi.md §2

VENDOR_QUEUED_SECONDS = 45.0  # aimlapi.md §2: "queued for ~45 s, then generating"
VENDOR_SECONDS_OF_5 = 186.0  # aimlapi.md §2: "about 3 min 6 s for a 5 s clip"
# No figure is published for 10 s clips: we suppose the same queue and twice the work.
VENDOR_SECONDS_OF_10 = VENDOR_QUEUED_SECONDS + 2 * (VENDOR_SECONDS_OF_5 - VENDOR_QUEUED_SECONDS)

# The vendor publishes no price for this model with its API; plausible, and the simulator's own.
PRICE_USD: Mapping[int, float] = {5: 0.5, 10: 1.0}


@dataclass(frozen=True, kw_only=True)
class SimulatorSettings:
    """How the simulated vendor behaves.

    Parameters
    ----------
    seed
        Everything random follows from it: the same seed and requests give the same ids and video bytes.
    time_factor
        How many vendor seconds pass in one of ours. The default turns 186 s (aimlapi.md §2) into 8 s.
    long_edge
        Long edge of the video in pixels. The vendor makes 1920 (aimlapi.md §2); half of it is quick to make.
    fps
        Frames per second of the video.
    api_keys
        The keys that are good; None: any non-empty key is.
    credits
        Credits on the account at the start; 2,000,000 are 1 USD.
    state_dir
        Folder for tasks, pictures and videos, so that they survive a restart; None: a temporary folder.
    id_shape
        Which of the three documented shapes ids have; ``mixed`` takes turns.
    submit_status
        Status code of an accepted submission; the vendor has answered both.
    id_in
        Where an accepted submission carries its id. ``id`` (body) comes with the ``x-inference-id`` header,
        as documented; with ``generation_id`` (body) or ``header`` it is in that place only.
    cost_in
        What answers say of the price: USD (a header), credits (a header, and the body once it is done), both, nothing.
    status_words
        The words for waiting, working and done.
    url_lifetime
        Seconds until a signed video url expires. One sample of the vendor lives about 30 days (aimlapi.md §2).
    price_usd
        USD by duration in seconds.
    log_delay
        Seconds until a submission appears in ``/v2/logs``.
    charge_delay
        Seconds from completion until the charge is on the account and in ``/v2/logs``.
    concurrency_limit
        Unfinished tasks at once before submissions are answered with 429; None: no limit.
    fail_prompts
        A prompt that contains one of these ends in status ``error``, as if it had met the content filter.
    """

    seed: int = 0
    time_factor: float = VENDOR_SECONDS_OF_5 / 8.0
    long_edge: int = 960
    fps: int = 24
    api_keys: frozenset[str] | None = field(default=None, repr=False)
    credits: int = 1000 * CREDITS_PER_USD
    state_dir: Path | None = None
    id_shape: Literal["short", "uuid", "colon", "mixed"] = "short"
    submit_status: Literal[200, 201] = 201
    id_in: Literal["id", "generation_id", "header"] = "id"
    cost_in: frozenset[Literal["usd", "credits"]] = frozenset({"usd", "credits"})
    status_words: tuple[str, str, str] = ("queued", "generating", "completed")
    url_lifetime: float = 30 * 24 * 3600.0
    price_usd: Mapping[int, float] = field(default_factory=lambda: dict(PRICE_USD))
    log_delay: float = 0.0
    charge_delay: float = 0.0
    concurrency_limit: int | None = None
    fail_prompts: tuple[str, ...] = ("[fail]",)

    def __post_init__(self) -> None:
        if self.time_factor <= 0:
            raise ValueError(f"time_factor must be above 0, not {self.time_factor}")
        if self.long_edge < 64 or self.fps < 1:
            raise ValueError("long_edge must be at least 64 px and fps at least 1")

    def expected_seconds(self, duration: int = 5) -> float:
        """Seconds a clip of `duration` seconds takes here, before the jitter of the single task."""
        return (VENDOR_SECONDS_OF_10 if duration == 10 else VENDOR_SECONDS_OF_5) / self.time_factor
