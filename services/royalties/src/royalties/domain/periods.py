"""Periods that statements are made of: a month, a quarter or a year, in UTC. `since` belongs to it, `until` doesn't."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

_NAME = re.compile(r"(?P<year>[1-9]\d{3})(-(Q(?P<quarter>[1-4])|(?P<month>0[1-9]|1[0-2])))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Period:
    name: str
    since: datetime
    until: datetime


def period_named(name: str) -> Period:
    """The period called so, such as 2026-01, 2026-Q1 or 2026. Raises ValueError."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise ValueError(f"expected a month, a quarter or a year such as 2026-01, 2026-Q1 or 2026, got {name[:20]!r}")
    year = int(match["year"])
    if match["month"]:
        first, months = int(match["month"]), 1
    elif match["quarter"]:
        first, months = int(match["quarter"]) * 3 - 2, 3
    else:
        first, months = 1, 12
    return Period(name, _month(year, first), _month(year, first + months))


def month_before(at: datetime) -> Period:
    """The last month that was over at a time."""
    year, month = divmod(at.astimezone(UTC).year * 12 + at.astimezone(UTC).month - 2, 12)
    return period_named(f"{year}-{month + 1:02}")


def _month(year: int, month: int) -> datetime:
    """Its first moment; month 13 is the next year's first."""
    return datetime(year + (month - 1) // 12, (month - 1) % 12 + 1, 1, tzinfo=UTC)
