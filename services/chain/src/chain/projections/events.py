"""What the contracts have logged, in the order of the chain: decoded, or raw with the reason."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from chain.domain import ZERO, ContractEvent, LogDecoded, UndecodedLog
from eventlog import RecordedEvent
from projections import Projection, Rows, on

metadata = sa.MetaData()


def _place() -> list[sa.Column[object]]:
    """Where on the chain a log stands."""
    return [
        sa.Column("block_number", sa.BigInteger, primary_key=True),
        sa.Column("log_index", sa.Integer, primary_key=True),
        sa.Column("block_hash", sa.Text, nullable=False),
        sa.Column("block_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tx_id", sa.Text, nullable=False),
        sa.Column("contract", sa.Text, nullable=False),
        sa.Column("address", sa.Text, nullable=False),
    ]


blockchain_events = sa.Table(
    "blockchain_events",
    metadata,
    *_place(),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("stream", sa.Text, nullable=False),
    sa.Column("args", JSONB, nullable=False),
    sa.Index("blockchain_events_contract", "contract", "block_number", "log_index"),
    sa.Index("blockchain_events_name", "name", "block_number", "log_index"),
    sa.Index("blockchain_events_tx", "tx_id"),
    sa.Index("blockchain_events_time", "block_time", "block_number"),
)

account_events = sa.Table(
    "account_events",
    metadata,
    sa.Column("address", sa.Text, primary_key=True),
    sa.Column("block_number", sa.BigInteger, primary_key=True),
    sa.Column("log_index", sa.Integer, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),  # of the event, so that a rare one is found without the others' rows
)

undecoded_logs = sa.Table(
    "undecoded_logs",
    metadata,
    *_place(),
    sa.Column("topics", sa.ARRAY(sa.Text), nullable=False),
    sa.Column("data", sa.Text, nullable=False),
    sa.Column("data_bytes", sa.BigInteger, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
)


def _where(event: ContractEvent | LogDecoded | UndecodedLog) -> dict[str, object]:
    source = event.source
    return {
        "block_number": source.block_number,
        "log_index": source.log_index,
        "block_hash": source.block_hash,
        "block_time": source.block_time,
        "tx_id": source.tx_id,
        "contract": event.contract,
        "address": source.contract,
    }


class BlockchainEvents(Projection):
    """Every decoded event of the watched contracts, and the accounts that each names."""

    name = "blockchain_events"
    tables = (blockchain_events, account_events)

    @on(ContractEvent)
    def logged(self, event: ContractEvent, recorded: RecordedEvent, rows: Rows) -> None:
        self._show(event, recorded, rows)

    @on(LogDecoded)
    def decoded(self, event: LogDecoded, recorded: RecordedEvent, rows: Rows) -> None:
        self._show(event, recorded, rows)

    def _show(self, event: ContractEvent | LogDecoded, recorded: RecordedEvent, rows: Rows) -> None:
        rows.insert(blockchain_events, **_where(event), name=event.name, stream=recorded.stream, args=event.args)
        block, index = event.source.block_number, event.source.log_index
        named = [(address, block, index, event.name) for address in accounts_in(event.args.values())]
        rows.insert_all(account_events, ("address", "block_number", "log_index", "name"), named)


class UndecodedLogs(Projection):
    """Logs of watched contracts that can not be decoded, raw, with the reason."""

    name = "undecoded_logs"
    tables = (undecoded_logs,)

    @on(UndecodedLog)
    def kept(self, event: UndecodedLog, recorded: RecordedEvent, rows: Rows) -> None:
        rows.insert(
            undecoded_logs,
            **_where(event),
            topics=list(event.topics),
            data=event.data,
            data_bytes=event.data_bytes,
            reason=event.reason,
        )

    @on(LogDecoded)
    def decoded(self, event: LogDecoded, recorded: RecordedEvent, rows: Rows) -> None:
        place = {"block_number": event.source.block_number, "log_index": event.source.log_index}
        rows.delete(undecoded_logs, place)


def accounts_in(values: Iterable[Any]) -> set[str]:
    """The addresses among arguments, but for the zero address: whoever takes part in an event is named there.

    By their look, since a text that only looks like one does no harm: nobody can ask for an address that is none.
    """
    found: set[str] = set()
    for value in values:
        if type(value) is str:
            if len(value) == 34 and value[0] == "T" and value != ZERO and value.isalnum():
                found.add(value)
        elif isinstance(value, dict):
            found |= accounts_in(value.values())
        elif isinstance(value, list | tuple):
            found |= accounts_in(value)
    return found
