"""Fewer runs of the cyclic garbage collector while batches are in memory.

A batch of 5,000 events is some 100,000 objects that all live until it is written. With Python's default of a run every
700 allocations the collector walks them again and again: two thirds of the time to decode them, a third of the time of
the handlers.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_THRESHOLDS = (1_000_000, 20, 20)  # above what all batches and blocks in memory come to; none of it is garbage

_users = 0
_before = gc.get_threshold()


@contextmanager
def fewer_collections() -> Iterator[None]:
    """Raises the collector's thresholds for this process until the last user has left."""
    global _users, _before
    if _users == 0:
        _before = gc.get_threshold()
        if 0 < _before[0] < _THRESHOLDS[0]:  # 0 means that somebody has switched it off
            gc.set_threshold(*_THRESHOLDS)
    _users += 1
    try:
        yield
    finally:
        _users -= 1
        if _users == 0:
            gc.set_threshold(*_before)
