"""The read model of operations: how far each has come. It serves those who ask; the sender reads the log itself."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from chain.domain import operation as op
from eventlog import RecordedEvent
from projections import Amount, Projection, Rows, on

metadata = sa.MetaData()

operations = sa.Table(
    "operations",
    metadata,
    sa.Column("operation_id", sa.Text, primary_key=True),
    sa.Column("sender", sa.Text, nullable=False),
    sa.Column("payload", JSONB, nullable=False),
    sa.Column("requested_by", sa.Text, nullable=False),
    sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("tx_id", sa.Text),  # of the last attempt
    sa.Column("expires_at", sa.DateTime(timezone=True)),
    sa.Column("block_number", sa.BigInteger),
    sa.Column("block_hash", sa.Text),
    sa.Column("fee_sun", Amount, nullable=False, default=0),  # burned by all attempts
    sa.Column("problem", sa.Text),  # its kind
    sa.Column("reason", sa.Text),
)


class Operations(Projection):
    """What others have asked to be done on the chain, and how far that is."""

    name = "operations"
    tables = (operations,)

    @on(op.OperationIntended)
    def intended(self, event: op.OperationIntended, recorded: RecordedEvent, rows: Rows) -> None:
        rows.insert(
            operations,
            operation_id=event.operation_id,
            sender=event.sender,
            payload=_texts(asdict(event.payload)),
            requested_by=event.requested_by,
            requested_at=recorded.occurred_at,
            status="intended",
            changed_at=recorded.occurred_at,
        )

    @on(op.TransactionSigned)
    def signed(self, event: op.TransactionSigned, recorded: RecordedEvent, rows: Rows) -> None:
        attempt = {"attempts": event.attempt, "tx_id": event.tx_id, "expires_at": event.expires_at}
        self._is(rows, recorded, "signed", **attempt)

    @on(op.TransactionBroadcast)
    def broadcast(self, event: op.TransactionBroadcast, recorded: RecordedEvent, rows: Rows) -> None:
        self._is(rows, recorded, "broadcast")

    @on(op.TransactionIncluded)
    def included(self, event: op.TransactionIncluded, recorded: RecordedEvent, rows: Rows) -> None:
        self._is(rows, recorded, "included", block_number=event.block_number, block_hash=event.block_hash)

    @on(op.TransactionRetracted)
    def retracted(self, event: op.TransactionRetracted, recorded: RecordedEvent, rows: Rows) -> None:
        self._is(rows, recorded, "broadcast", block_number=None, block_hash=None)

    @on(op.TransactionLapsed)
    def lapsed(self, event: op.TransactionLapsed, recorded: RecordedEvent, rows: Rows) -> None:
        place = {"block_number": None, "block_hash": None}
        self._is(rows, recorded, "intended", problem=event.kind, reason=event.reason, **place)

    @on(op.TransactionFailed)
    def attempt_failed(self, event: op.TransactionFailed, recorded: RecordedEvent, rows: Rows) -> None:
        rows.increment(operations, self._key(recorded), fee_sun=event.fee_sun)
        self._is(rows, recorded, "intended", problem=event.kind, reason=event.reason)

    @on(op.OperationSolidified)
    def solidified(self, event: op.OperationSolidified, recorded: RecordedEvent, rows: Rows) -> None:
        rows.increment(operations, self._key(recorded), fee_sun=event.fee_sun)
        place = {"block_number": event.block_number, "block_hash": event.block_hash}
        self._is(rows, recorded, "solidified", problem=None, reason=None, **place)

    @on(op.OperationFailed)
    def failed(self, event: op.OperationFailed, recorded: RecordedEvent, rows: Rows) -> None:
        self._is(rows, recorded, "failed", problem=event.kind, reason=event.reason)

    @on(op.OperationExpired)
    def expired(self, event: op.OperationExpired, recorded: RecordedEvent, rows: Rows) -> None:
        self._is(rows, recorded, "expired", reason=event.reason)

    def _key(self, recorded: RecordedEvent) -> dict[str, object]:
        return {"operation_id": recorded.stream.removeprefix(op.OPERATIONS)}

    def _is(self, rows: Rows, recorded: RecordedEvent, status: str, **changes: object) -> None:
        rows.update(operations, self._key(recorded), status=status, changed_at=recorded.occurred_at, **changes)


def _texts(value: Any) -> Any:
    """Integers as decimal strings, like everywhere in JSON here: they may have 256 bits."""
    if isinstance(value, dict):
        return {name: _texts(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_texts(item) for item in value]
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value
