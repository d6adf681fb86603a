"""Values as the texts that PostgreSQL reads: those of COPY, and arrays of many values as one parameter.

Joining texts takes a fifth of the time in which asyncpg makes binary values one by one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, TypeGuard

_NULL = "\\N"
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
_SPECIAL = re.compile(r"[\\\t\n\r]")
_QUOTED = re.compile(r'["\\]')


def copy_texts(texts: Sequence[str | None], *, escape: bool) -> Sequence[str]:
    """The same in COPY's text format: https://www.postgresql.org/docs/current/sql-copy.html."""
    if escape and _SPECIAL.search("".join(filter(None, texts))):
        return [_NULL if text is None else text.translate(_ESCAPES) for text in texts]
    if _without_null(texts):
        return texts
    return [_NULL if text is None else text for text in texts]


def array_literal(texts: Sequence[str | None]) -> str:
    """An array of these: https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO."""
    if texts and _without_null(texts) and not _QUOTED.search("".join(texts)):
        return '{"' + '","'.join(texts) + '"}'
    return "{" + ",".join(["NULL" if text is None else f'"{_escaped(text)}"' for text in texts]) + "}"


def array_text(values: Sequence[Any]) -> str:
    """An array of the texts of these values."""
    return array_literal([None if value is None else str(value) for value in values])


def hex_text(value: bytes) -> str:
    return f"\\x{value.hex()}"


def _without_null(texts: Sequence[str | None]) -> TypeGuard[Sequence[str]]:
    return None not in texts


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
