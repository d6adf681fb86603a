"""The one form in which a document is hashed: JSON as RFC 8785 has it (JCS).

Our documents hold objects with names in ASCII, lists, texts, whole numbers below 2^53, booleans and null. For those the
form is: names sorted, no white space, UTF-8 as it is, and no escape but where JSON demands one. Amounts are texts.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import sha256
from typing import Any, NoReturn

import orjson

EXACT = 2**53
"""From here on two readers of JSON may see different whole numbers."""


def canonical(document: Any) -> bytes:
    """The bytes that are hashed. Raises TypeError for whole numbers from 2^53 on, and for what is no JSON."""
    return orjson.dumps(document, option=orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER)


def digest(document: Any) -> str:
    """SHA-256 of the canonical form, in hex."""
    return sha256(canonical(document)).hexdigest()


def read(text: str | bytes) -> Any:
    """What a JSON text holds, in whatever form it is written.

    Raises ValueError for what is no JSON, and for what two readers could understand differently: a name that is there
    twice, a fraction, a whole number from 2^53 on.
    """
    return json.loads(
        text, object_pairs_hook=_object, parse_float=_fraction, parse_constant=_fraction, parse_int=_whole
    )


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"expected each name once, got {next(n for n in names if names.count(n) > 1)!r} again")
    return found


def _whole(digits: str) -> int:
    if len(digits) > 17 or abs(number := int(digits)) >= EXACT or digits == "-0":
        raise ValueError(f"expected a whole number below 2^53, got {digits[:80]}")
    return number


def _fraction(digits: str) -> NoReturn:
    raise ValueError(f"expected whole numbers, got {digits[:80]}")
