"""What the tables of this package share: whence a row comes, and of which month and track it is.

Identifiers of tracks, tokens and payments are uint256, so they have the columns of amounts.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import sqlalchemy as sa

from contracts.chain import Source

metadata = sa.MetaData()
NO_TRACK = 0
"""In place of a track's number, for sales off the chain that are of none: the contracts count tracks from 1."""


def of_chain(*, key: bool = False) -> tuple[sa.Column[Any], ...]:
    """The columns that say where on the chain a row comes from; `key`: they identify it."""
    return (
        sa.Column("block_number", sa.BigInteger, nullable=False, primary_key=key),
        sa.Column("log_index", sa.Integer, nullable=False, primary_key=key),
        sa.Column("tx_id", sa.Text, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    )


def source(source: Source) -> dict[str, Any]:
    return {
        "block_number": source.block_number,
        "log_index": source.log_index,
        "tx_id": source.tx_id,
        "at": source.block_time,
    }


def month_of(at: datetime) -> date:
    """The first day of the month, in UTC."""
    here = at.astimezone(UTC)
    return date(here.year, here.month, 1)
