"""What the routes share: who may ask, moments, and pages in the chain's order."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Depends
from pydantic import AwareDatetime, BaseModel, BeforeValidator, Field

from contracts.values import Hash
from eventlog import EventLog, Watermark
from projections import InvalidPoint, position_at
from royalties.domain import SCALES, TRX, Refused, Side
from royalties.domain.periods import Period, period_named
from royalties.queries import Place
from service import Caller, PageRequest, Problem, require
from service.queries import Row


class InAsset(BaseModel):
    """Amounts of one asset. They are in its smallest unit: 10^-scale of it, sun for TRX."""

    asset: str = TRX
    scale: int | None = Field(
        default_factory=lambda known: SCALES[known["asset"]],
        description="Decimals; null for the moment until the registration of a new asset is shown.",
    )


class OnChain(BaseModel):
    """Where on the chain a fact stands, to be looked up at any node."""

    at: datetime
    block_number: int
    tx_id: Hash
    log_index: int


User = Annotated[Caller, Depends(require("user", "artist", "support", "officer", "auditor", "admin", "service"))]
Owner = Annotated[
    Caller, Depends(require("user", "artist", "support", "officer", "auditor", "admin", "service", personal=True))
]
Party = Annotated[Caller, Depends(require("user", "artist", "admin", "service", personal=True))]
Officer = Annotated[Caller, Depends(require("officer", "admin"))]
Reviewer = Annotated[Caller, Depends(require("support", "officer", "auditor", "admin", personal=True))]
Reason = Annotated[str, Field(min_length=1, max_length=500)]
Reporter = Annotated[Caller, Depends(require("service", "admin"))]
BlockNumber = Annotated[int, Field(ge=0, lt=2**63)]
LogIndex = Annotated[int, Field(ge=0, lt=2**31)]
Position = Annotated[int, Field(ge=0, lt=2**63)]
PostingNumber = Annotated[int, Field(ge=0, lt=2**31)]


def _midnight(value: Any) -> Any:
    """A date stands for its first moment in UTC."""
    return f"{value}T00:00:00Z" if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value) else value


Moment = Annotated[
    AwareDatetime,
    BeforeValidator(_midnight),
    Field(ge=datetime(1970, 1, 1, tzinfo=UTC), lt=datetime(9000, 1, 1, tzinfo=UTC)),
]


NOT_FOUND = {"no-agreement", "not-found", "not-reserved", "sale-unknown"}
CONFLICTS = {
    "agreement-conflict", "asset-conflict", "reference-conflict", "not-in-control", "not-in-order", "not-offered",
    "reversed-before", "pool-too-small", "period-distributed", "distribution-conflict", "approved-already",
    "not-previewed", "own-distribution", "other-preview", "payment-ended", "payment-under-way", "held",
    "too-many-attempts", "balance-too-small", "move-conflict", "move-ended", "move-expired", "split-cycle",
}  # fmt: skip


@contextmanager
def refusals() -> Iterator[None]:
    """What the domain refuses, as a problem: with 409 it conflicts with what is on record."""
    try:
        yield
    except Refused as refused:
        status = 404 if refused.code in NOT_FOUND else 409 if refused.code in CONFLICTS else 422
        raise Problem(status, refused.code, "The command can't be followed.", str(refused)) from None


def after(paging: PageRequest) -> Place | None:
    return paging.after(BlockNumber, LogIndex)


def place(row: OnChain) -> Place:
    return (row.block_number, row.log_index)


def preferred(accept: str, *offered: str) -> str | None:
    """The first media type of the header Accept that is offered; None for the answer's usual form."""
    asked = (part.partition(";")[0].strip().lower() for part in accept.split(","))
    return next((media for media in asked if media in offered), None)


def balance_of(row: Row, side: Side) -> int:
    difference = int(row["debits"]) - int(row["credits"])
    return difference if side is Side.DEBIT else -difference


def named(name: str) -> Period:
    """The period called so. Raises Problem 422."""
    try:
        return period_named(name)
    except ValueError as error:
        raise Problem(422, "invalid-period", "There is no such period.", str(error)) from None


async def known(log: EventLog, watermark: Watermark, at: datetime | None) -> int | None:
    """The position of the log that stands for what was known at a time. Raises Problem 422 for one to come."""
    if at is None:
        return None
    try:
        return await position_at(log, at, await watermark.measure())
    except InvalidPoint as error:
        raise Problem(422, "still-to-come", "Nobody knows yet what will be known then.", f"known_at: {error}") from None
