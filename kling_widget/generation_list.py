"""``Generations``: what was asked for, as a list that a notebook shows with its pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from .ledger_row import FREE_TAKE
from .money import charge
from .progress import WORDS
from .rules import DURATIONS
from .tiles import SHOWN, Tile, page, with_poster
from .video_page import variant

if TYPE_CHECKING:
    from .generation import Generation

NOTHING = "Nothing was asked for yet"
SIMULATED_ONLY = f"{NOTHING}, but of the simulator: simulate=True lists that"


class Generations(list["Generation"]):
    """Generations, newest first: a list like any other, which is a contact sheet as the last line of a cell.

    Each tile has the place in the list, the prompt, settings and charge, and the vendor's id on hovering.

    Parameters
    ----------
    generations
        As they are to be listed.
    nothing
        What is said where there are none.
    """

    def __init__(self, generations: Iterable[Generation] = (), *, nothing: str = NOTHING) -> None:
        super().__init__(generations)
        self._nothing = nothing

    def _repr_html_(self) -> str:
        states = Counter(WORDS[each.status].lower() for each in self)
        line = ", ".join(f"{count} {state}" for state, count in states.most_common()) or self._nothing
        if any(each.simulated for each in self):
            line += " · simulated"
        if len(self) > SHOWN:
            line += f" · the latest {SHOWN} are shown"
        return page(line, None, [_tile(place, each) for place, each in enumerate(self[:SHOWN])], over=True)


def _tile(place: int, generation: Generation) -> Tile:
    row = generation.row
    seconds = row.request.get("duration") or DURATIONS[0]
    facts = (f"{seconds} s", charge(row.usd, row.provider), *variant({**row.request, "take": row.take}))
    caption = [f"[{place}] {row.request.get('prompt', '')}", " · ".join(filter(None, facts))]
    failed = generation.status in FREE_TAKE
    tile = Tile(place, generation.id or generation.key, caption, WORDS[generation.status], failed=failed)
    return tile if generation.video is None else with_poster(tile, generation.video)
