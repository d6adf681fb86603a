"""Values that cross service borders, each with one exact form on the wire."""

from __future__ import annotations

import hashlib
import re
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any

from pydantic import AwareDatetime, BeforeValidator, PlainSerializer, StringConstraints, WithJsonSchema

UINT256_MAX = 2**256 - 1

_DIGITS = re.compile(r"0|[1-9][0-9]{0,77}", re.ASCII)
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BASE58_INDEX = {character: index for index, character in enumerate(_BASE58)}


def _uint256(value: Any) -> int:
    if isinstance(value, str):
        if not _DIGITS.fullmatch(value):
            raise ValueError(f"expected 1 to 78 decimal digits without leading zeros, got {value[:80]!r}")
        if len(value) < 78:  # as most are
            return int(value)
    elif isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"expected a whole number or a string of decimal digits, got {type(value).__name__}")
    number = int(value)
    if not 0 <= number <= UINT256_MAX:
        raise ValueError(f"expected 0 to 2^256-1, got {number if number < 0 else 'more'}")
    return number


Uint256 = Annotated[
    int,
    BeforeValidator(_uint256),
    PlainSerializer(str, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": "^(0|[1-9][0-9]{0,77})$", "description": "0 to 2^256-1, in decimal"}),
]
"""An unsigned 256-bit integer; a string of decimal digits in JSON, because JSON numbers lose bits beyond 2^53."""

Amount = Uint256
"""Money in the smallest unit of its asset (sun for TRX, 10^-18 for DCMX). Floats are refused."""

SignedAmount = Annotated[
    int,
    PlainSerializer(str, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": "^(0|-?[1-9][0-9]*)$"}),
]
"""A sum or difference of amounts, also below zero: for what is shown, never for what is taken in."""


def _address(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"expected a TRON address, got {type(value).__name__}")
    if len(value) != 34 or value[0] != "T" or not _checksum_holds(value):
        raise ValueError(f"expected a base58check TRON address (T…, 34 characters), got {value[:60]!r}")
    return value


@lru_cache(maxsize=65_536)
def _checksum_holds(address: str) -> bool:
    number = 0
    for character in address:
        if character not in _BASE58_INDEX:
            return False
        number = number * 58 + _BASE58_INDEX[character]
    if number >> 200:
        return False
    raw = number.to_bytes(25, "big")
    return raw[0] == 0x41 and hashlib.sha256(hashlib.sha256(raw[:21]).digest()).digest()[:4] == raw[21:]


Address = Annotated[
    str, BeforeValidator(_address), WithJsonSchema({"type": "string", "pattern": "^T[1-9A-HJ-NP-Za-km-z]{33}$"})
]
"""A TRON address in base58check."""

Hash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""32 bytes as lower-case hex without 0x: a transaction id, a block id, a content hash, a bytes32."""

SubjectId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._:-]{1,100}$")]
"""An opaque id or a public address: no @, no spaces, so neither mail addresses nor names fit."""

_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII)
_FINER = re.compile(r"(?<=\.\d{6})\d+")  # than microseconds, Python's finest


def _time(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str):
        raise ValueError(f"expected an RFC 3339 time with its zone, got {str(value)[:60]!r}")
    return _read_time(value)


@lru_cache(maxsize=4_096)  # all that is of one block has one time
def _read_time(text: str) -> datetime:
    if not _RFC_3339.fullmatch(text):
        raise ValueError(f"expected an RFC 3339 time with its zone, got {text[:60]!r}")
    return datetime.fromisoformat(_FINER.sub("", text))


Time = Annotated[AwareDatetime, BeforeValidator(_time)]
"""A moment, with its zone; RFC 3339 in JSON. pydantic alone would also take numbers, in quotes too, as seconds."""
