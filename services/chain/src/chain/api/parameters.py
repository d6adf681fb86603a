"""Who may ask, and what the parameters of questions look like."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Depends, Query
from pydantic import AwareDatetime, BeforeValidator, Field

from chain.queries import Span
from service import Caller, require

User = Annotated[Caller, Depends(require("user", "artist", "support", "officer", "auditor", "admin", "service"))]
Service = Annotated[Caller, Depends(require("service", "admin"))]
BlockNumber = Annotated[int, Query(ge=0, lt=2**63)]
Name = Annotated[str, Query(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9_-]+$")]


def _time(value: Any) -> Any:
    """A date stands for its first moment in UTC; bare numbers are no times."""
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value):
        return f"{value}T00:00:00Z"
    if not isinstance(value, str) or re.fullmatch(r"[-+]?\d*\.?\d*", value):
        raise ValueError("expected a time in ISO 8601, or a date")
    return value


Moment = Annotated[
    AwareDatetime,
    BeforeValidator(_time),
    Field(ge=datetime(1970, 1, 1, tzinfo=UTC), lt=datetime(9000, 1, 1, tzinfo=UTC)),
]
Since = Annotated[Moment | None, Query(description="A time, or a date (UTC): inclusive.")]
Until = Annotated[Moment | None, Query(description="A time, or a date (UTC): exclusive.")]


def _span(
    first_block: BlockNumber | None = None,
    last_block: BlockNumber | None = None,
    since: Since = None,
    until: Until = None,
) -> Span:
    return Span(first_block, last_block, since, until)


Blocks = Annotated[Span, Depends(_span)]
"""Which part of the chain a list is of."""
