"""What the vendor knows of a generation, and its status as a pure function of the time."""

from __future__ import annotations

import random
import string
import uuid
from dataclasses import asdict, dataclass
from typing import Any, Literal

from kling_widget.simulator.settings import (
    CREDITS_PER_USD,
    MODEL,
    VENDOR_QUEUED_SECONDS,
    VENDOR_SECONDS_OF_5,
    SimulatorSettings,
)

Phase = Literal["queued", "generating", "completed", "error"]

JITTER = 0.06  # our choice: tasks of the same length differ by up to 6 %
FAILS_AT = 0.6  # our choice: the content filter speaks up after this share of the time
ID_ALPHABET = string.ascii_letters + string.digits + "_"  # as in `bA23_2Dk4Yh6RWT5BluZu`, aimlapi.md §2
ID_LENGTH = 21  # of the same sample


@dataclass(frozen=True)
class SimulatedTask:
    """One generation.

    Attributes
    ----------
    id, number
        The vendor's id, and how many tasks were there before.
    created
        Unix seconds.
    queued_seconds, total_seconds
        Seconds from `created` until it is worked on, and until it is done.
    fails
        Whether it ends in status ``error``.
    model, prompt, duration
        As asked; duration in seconds.
    first_frame, last_frame
        SHA-256 (hex) of the pictures; `last_frame` may be None.
    client_request_id
        The ``X-Client-Request-Id`` it came with, if that was valid.
    usd
        What it costs once it is completed.
    camera
        The ``camera_control`` that was asked for, or None.
    """

    id: str
    number: int
    created: float
    queued_seconds: float
    total_seconds: float
    fails: bool
    model: str
    prompt: str
    duration: int
    first_frame: str
    last_frame: str | None
    client_request_id: str | None
    usd: float
    camera: dict[str, Any] | None = None

    @property
    def credits(self) -> int:
        """The price in credits."""
        return round(self.usd * CREDITS_PER_USD)

    @property
    def ends(self) -> float:
        """Unix seconds at which it is completed or fails."""
        return self.created + self.total_seconds * (FAILS_AT if self.fails else 1)

    def phase(self, now: float) -> Phase:
        """Its status at `now` (Unix seconds)."""
        if now >= self.ends:
            return "error" if self.fails else "completed"
        return "generating" if now >= self.created + self.queued_seconds else "queued"

    def to_json(self) -> dict[str, Any]:
        """As it is kept on disk; ``SimulatedTask(**data)`` reads it back."""
        return asdict(self)


def new_task(
    settings: SimulatorSettings,
    number: int,
    *,
    created: float,
    body: dict[str, Any],
    first_frame: str,
    last_frame: str | None,
    client_request_id: str | None,
) -> SimulatedTask:
    """The task with this number. Id and timing follow from the seed and the number alone.

    Parameters
    ----------
    settings
        Seed, speed, prices, shape of ids.
    number
        How many tasks were there before.
    created
        Unix seconds.
    body
        The validated body of the submission.
    first_frame, last_frame
        SHA-256 (hex) of the pictures.
    client_request_id
        The valid ``X-Client-Request-Id``, or None.
    """
    chance = random.Random(f"{settings.seed}:{number}")  # a text: seeded the same in every version of Python
    duration = body.get("duration", 5)
    total = settings.expected_seconds(duration) * (1 + chance.uniform(-JITTER, JITTER))
    queued = settings.expected_seconds(5) * VENDOR_QUEUED_SECONDS / VENDOR_SECONDS_OF_5
    return SimulatedTask(
        id=_new_id(settings, number, chance),
        number=number,
        created=created,
        queued_seconds=queued * (1 + chance.uniform(-JITTER, JITTER)),
        total_seconds=total,
        fails=any(marker in body["prompt"] for marker in settings.fail_prompts),
        model=body["model"],
        prompt=body["prompt"],
        duration=duration,
        first_frame=first_frame,
        last_frame=last_frame,
        client_request_id=client_request_id,
        usd=settings.price_usd[duration],
        camera=body.get("camera_control"),
    )


def _new_id(settings: SimulatorSettings, number: int, chance: random.Random) -> str:
    shapes = ("short", "uuid", "colon")
    shape = shapes[number % 3] if settings.id_shape == "mixed" else settings.id_shape
    if shape == "short":
        return "".join(chance.choices(ID_ALPHABET, k=ID_LENGTH))
    name = str(uuid.UUID(int=chance.getrandbits(128), version=4))
    return f"{name}:{MODEL}" if shape == "colon" else name
