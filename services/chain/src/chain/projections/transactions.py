"""Every recorded transaction, by id and by the accounts it names."""

from __future__ import annotations

import sqlalchemy as sa

from chain.domain import ZERO, TransactionSolidified
from eventlog import RecordedEvent
from projections import Amount, Projection, Rows, on

metadata = sa.MetaData()

transaction_index = sa.Table(
    "transaction_index",
    metadata,
    sa.Column("tx_id", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("to", sa.Text),
    sa.Column("contract", sa.Text),
    sa.Column("method", sa.Text),
    sa.Column("amount_sun", Amount, nullable=False),
    sa.Column("call_value_sun", Amount, nullable=False),
    sa.Column("fee_sun", Amount, nullable=False),
    sa.Column("energy_used", sa.BigInteger, nullable=False),
    sa.Column("bandwidth_used", sa.BigInteger, nullable=False),
    sa.Column("success", sa.Boolean, nullable=False),
    sa.Column("result", sa.Text, nullable=False),
    sa.Column("block_number", sa.BigInteger, nullable=False),
    sa.Column("block_hash", sa.Text, nullable=False),
    sa.Column("block_time", sa.DateTime(timezone=True), nullable=False),
    sa.Column("index_in_block", sa.Integer, nullable=False),
    sa.Index("transaction_index_order", "block_number", "index_in_block"),
    sa.Index("transaction_index_time", "block_time", "block_number"),
    sa.Index("transaction_index_kind", "kind", "block_number", "index_in_block"),
    sa.Index(
        "transaction_index_contract",
        "contract",
        "block_number",
        "index_in_block",
        postgresql_where=sa.text("contract IS NOT NULL"),
    ),
    sa.Index(
        "transaction_index_method",
        "method",
        "block_number",
        "index_in_block",
        postgresql_where=sa.text("method IS NOT NULL"),
    ),
    sa.Index("transaction_index_failed", "block_number", "index_in_block", postgresql_where=sa.text("NOT success")),
)

account_transactions = sa.Table(
    "account_transactions",
    metadata,
    sa.Column("address", sa.Text, primary_key=True),
    sa.Column("block_number", sa.BigInteger, primary_key=True),
    sa.Column("index_in_block", sa.Integer, primary_key=True),
    sa.Column("tx_id", sa.Text, nullable=False),
)


class TransactionIndex(Projection):
    """Every recorded transaction, by id and by the accounts it names."""

    name = "transaction_index"
    tables = (transaction_index, account_transactions)

    @on(TransactionSolidified)
    def solidified(self, event: TransactionSolidified, recorded: RecordedEvent, rows: Rows) -> None:
        rows.insert(
            transaction_index,
            tx_id=event.tx_id,
            kind=event.kind,
            owner=event.owner,
            to=event.to,
            contract=event.contract,
            method=event.method,
            amount_sun=event.amount_sun,
            call_value_sun=event.call_value_sun,
            fee_sun=event.fee_sun,
            energy_used=event.energy_used,
            bandwidth_used=event.bandwidth_used,
            success=event.success,
            result=event.result,
            block_number=event.block_number,
            block_hash=event.block_hash,
            block_time=event.block_time,
            index_in_block=event.index_in_block,
        )
        for address in {event.owner, event.to} - {None, ZERO}:
            rows.insert(
                account_transactions,
                address=address,
                block_number=event.block_number,
                index_in_block=event.index_in_block,
                tx_id=event.tx_id,
            )
