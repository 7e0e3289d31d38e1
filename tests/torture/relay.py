"""A small TCP relay that breaks connections at random bytes, in both directions.

Each connection gets a fate of its own when it is made: after how many bytes it is harmed, in which direction, and how.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import threading
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Literal

PIECE = 4096  # bytes passed on at a time
RESET = struct.pack("ii", 1, 0)  # SO_LINGER on, zero seconds: closing sends RST instead of FIN (man 7 socket)
SILENCE = 5.0  # seconds a stalled connection is held before it is closed

Harm = Literal["none", "delay", "reset", "truncate", "stall"]


@dataclass(frozen=True)
class Fate:
    """What happens to one connection.

    Parameters
    ----------
    harm
        ``delay`` holds the bytes back for `seconds`, ``reset`` sends RST to both sides, ``truncate`` closes orderly
        in the middle, ``stall`` swallows everything from there on without a word.
    upstream
        True: on the way to the server, else on the way back.
    after
        Bytes that pass unharmed that way.
    seconds
        For ``delay``.
    """

    harm: Harm
    upstream: bool = False
    after: int = 0
    seconds: float = 0.0


def draw(chance: random.Random, early: float) -> Fate:
    """A fate. `early` of them strike within the first 8 KB, the others within 32 KB, since connections are kept alive.

    Offsets are log-uniform, so that heads of requests, pictures, answers and videos all get their turn.
    """
    harms: tuple[Harm, ...] = ("delay", "reset", "reset", "truncate", "truncate", "stall")
    bits = chance.uniform(0, 13) if chance.random() < early else chance.uniform(13, 15)
    return Fate(chance.choice(harms), chance.random() < 0.5, int(2**bits) - 1, chance.uniform(0.01, 0.5))


class Relay:
    """Listens on loopback and passes on to a server, in a thread of its own.

    Parameters
    ----------
    port
        The server's port on 127.0.0.1.
    seed
        Fates follow from it and from the order of the connections.
    early
        Share of the connections that break within their first 8 KB, 0 to 1.
    """

    def __init__(self, port: int, seed: int, early: float) -> None:
        self.early = early
        self.fates: Counter[str] = Counter()
        self._target = port
        self._chance = random.Random(seed)
        self._loop = asyncio.new_event_loop()
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._loop.run_forever, name="relay", daemon=True)

    def __enter__(self) -> Relay:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(asyncio.start_server(self._meet, sock=self._socket), self._loop).result()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._socket.close()

    async def _end(self) -> None:
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        fate = draw(self._chance, self.early)
        there, back = await asyncio.open_connection("127.0.0.1", self._target)
        ways = [
            asyncio.ensure_future(self._pass(reader, back, fate if fate.upstream else Fate("none"))),
            asyncio.ensure_future(self._pass(there, writer, fate if not fate.upstream else Fate("none"))),
        ]
        try:
            done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            harmed = next((task.result() for task in done if not task.exception()), "none")
            self.fates[harmed] += 1
            if harmed == "reset":
                for each in (writer, back):
                    each.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                    each.transport.abort()
        except asyncio.CancelledError:  # the relay ends; streams would complain of a callback that was cancelled
            pass
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            for each in (writer, back):
                each.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, fate: Fate) -> Harm:
        """Pass bytes on until the end or the harm; which of both it was."""
        left, harm = fate.after, fate.harm
        with suppress(ConnectionError):
            while data := await reader.read(PIECE):
                if harm == "none" or len(data) <= left:
                    left -= len(data)
                    writer.write(data)
                    await writer.drain()
                    continue
                writer.write(data[:left])
                await writer.drain()
                if harm == "delay":
                    self.fates[harm] += 1
                    await asyncio.sleep(fate.seconds)
                    writer.write(data[left:])
                    harm = "none"
                    continue
                if harm == "stall":
                    await asyncio.sleep(SILENCE)
                return harm
        return "none"
