"""What the routes share: who may ask, moments, and pages in the chain's order."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Depends
from pydantic import AwareDatetime, BaseModel, BeforeValidator, Field, computed_field

from contracts.values import Hash
from royalties.domain import SCALES, TRX, Side
from royalties.queries import Place
from service import Caller, PageRequest, require
from service.queries import Row


class InAsset(BaseModel):
    """Amounts of one asset. They are in its smallest unit: 10^-scale of it, sun for TRX."""

    asset: str = TRX

    @computed_field  # type: ignore[prop-decorator]  # mypy knows no decorated properties
    @property
    def scale(self) -> int:
        return SCALES[self.asset]


class OnChain(BaseModel):
    """Where on the chain a fact stands, to be looked up at any node."""

    at: datetime
    block_number: int
    tx_id: Hash
    log_index: int


User = Annotated[Caller, Depends(require("user", "service", "admin"))]
Officer = Annotated[Caller, Depends(require("officer", "admin"))]
Reason = Annotated[str, Field(min_length=1, max_length=500)]
BlockNumber = Annotated[int, Field(ge=0, lt=2**63)]
LogIndex = Annotated[int, Field(ge=0, lt=2**31)]


def _midnight(value: Any) -> Any:
    """A date stands for its first moment in UTC."""
    return f"{value}T00:00:00Z" if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value) else value


Moment = Annotated[
    AwareDatetime,
    BeforeValidator(_midnight),
    Field(ge=datetime(1970, 1, 1, tzinfo=UTC), lt=datetime(9000, 1, 1, tzinfo=UTC)),
]


def after(paging: PageRequest) -> Place | None:
    place = paging.after(BlockNumber, LogIndex)
    return None if place is None else (place[0], place[1])


def place(row: OnChain) -> Place:
    return (row.block_number, row.log_index)


def prefers_csv(accept: str) -> bool:
    return any(part.partition(";")[0].strip().lower() == "text/csv" for part in accept.split(","))


def balance_of(row: Row, side: Side) -> int:
    difference = int(row["debits"]) - int(row["credits"])
    return difference if side is Side.DEBIT else -difference
