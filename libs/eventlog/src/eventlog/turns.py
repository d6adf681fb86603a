"""Turns for computations of some milliseconds each, such as a hundred events handled or encoded.

Who only yields, by `asyncio.sleep(0)`, meets all others who do in the same pass of the event loop: with a dozen of them
a pass takes a tenth of a second, and so long every answer of a server waits to be seen. By turns there is one such
computation a pass.
"""

from __future__ import annotations

import asyncio
from collections import deque
from weakref import WeakKeyDictionary

_Waiting = deque[asyncio.Future[None]]

_waiting: WeakKeyDictionary[asyncio.AbstractEventLoop, _Waiting] = WeakKeyDictionary()


async def turn() -> None:
    """Returns when it is the caller's turn to compute: first come, first served, one in each pass of the loop."""
    loop = asyncio.get_running_loop()
    waiting = _waiting.setdefault(loop, deque())
    if not waiting:
        loop.call_soon(_next, loop, waiting)
    mine: asyncio.Future[None] = loop.create_future()
    waiting.append(mine)
    await mine


def _next(loop: asyncio.AbstractEventLoop, waiting: _Waiting) -> None:
    """Wakes the first who still waits; the one behind has to wait for the next pass."""
    mine = waiting.popleft()
    if waiting:
        loop.call_soon(_next, loop, waiting)
    if not mine.done():  # else its task was cancelled
        mine.set_result(None)
