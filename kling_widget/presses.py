"""Which presses of a button are one: each is paid for, and each may reach the kernel late or twice."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass

SAME_PRESS = 1.0  # seconds; the same press within them is a double click
REMEMBERED = 100  # presses; ours: far more than wait for one cell to end


@dataclass
class _Heard:
    press: object
    names: set[str]
    at: float


class Presses:
    """What was pressed on one kind of button. Pure but for its memory: the time comes from outside."""

    def __init__(self) -> None:
        self._heard: deque[_Heard] = deque(maxlen=REMEMBERED)

    def __len__(self) -> int:
        return len(self._heard)

    def is_new(self, press: object, names: Collection[str], now: float) -> bool:
        """Whether to act upon a press; it is remembered then.

        Parameters
        ----------
        press
            What would be made, compared by equality.
        names
            Ids of the message and of the one that it repeats, if that may not have been heard. Both, since threads of a
            kernel hear messages in no certain order.
        now
            Seconds, monotonic.
        """
        for heard in self._heard:
            if heard.press == press and not heard.names.isdisjoint(names):
                heard.names.update(names)  # the next one may repeat this one
                return False
        if self._heard and (last := self._heard[-1]).press == press and now - last.at < SAME_PRESS:
            last.names.update(names)
            return False
        self._heard.append(_Heard(press, set(names), now))
        return True

    def forget(self, press: object) -> None:
        """It came to nothing: the same one again is a new one."""
        kept = [heard for heard in self._heard if heard.press != press]
        self._heard.clear()
        self._heard.extend(kept)
