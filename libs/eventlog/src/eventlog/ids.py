"""Event ids: UUID version 7 (RFC 9562), so that an index on them grows at one end."""

from __future__ import annotations

import hashlib
import os
import time
from datetime import datetime
from uuid import UUID

from asyncpg.pgproto import pgproto


def uuid7() -> UUID:
    """A new id: 48 bits of Unix milliseconds, then 74 random bits."""
    return _layout(time.time_ns() // 1_000_000, os.urandom(10))


def derived_id(key: str, at: datetime) -> UUID:
    """The id that `key` always has: doing something again gives the same ids, so that it can be recognised.

    The milliseconds are those of `at`, the other bits come from SHA-256 of `key`.
    """
    return _layout(int(at.timestamp() * 1000), hashlib.sha256(key.encode()).digest()[:10])


def _layout(milliseconds: int, rest: bytes) -> UUID:
    number = (milliseconds & 0xFFFF_FFFF_FFFF) << 80 | int.from_bytes(rest, "big")
    number = number & ~(0xF << 76) | 0x7 << 76  # version
    number = number & ~(0x3 << 62) | 0x2 << 62  # variant
    made: UUID = pgproto.UUID(number.to_bytes(16, "big"))  # as those that are read: in C, in a tenth of the time
    return made
