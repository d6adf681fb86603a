"""Every claim: what has become of it, and each step with its reason."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa

from eventlog import RecordedEvent
from projections import Amount, Projection, Rows, on
from rewards.domain import (
    ClaimAuthorised,
    ClaimPaid,
    ClaimProven,
    ClaimReleased,
    ClaimReserved,
    PaymentDone,
    PaymentFailed,
)

metadata = sa.MetaData()

reward_claims = sa.Table(
    "reward_claims",
    metadata,
    sa.Column("claim_id", sa.Text, primary_key=True),
    sa.Column("user", sa.Text),  # null where it is proven, or another service had it authorised
    sa.Column("pool", sa.Text, nullable=False),
    sa.Column("claimant", sa.Text, nullable=False),
    sa.Column("amount", Amount, nullable=False),
    sa.Column("payer", sa.Text),
    sa.Column("status", sa.Text, nullable=False),  # reserved, authorised or proven, sent, failed, paid, released
    sa.Column("reason", sa.Text),  # why it is not paid
    sa.Column("since", sa.DateTime(timezone=True), nullable=False),
    sa.Column("deadline", sa.BigInteger),  # last second (Unix time) at which the vault pays
    sa.Column("rule_version", sa.Integer),
    sa.Column("day", sa.Integer),
    sa.Column("paid_at", sa.DateTime(timezone=True)),
    sa.Column("block_number", sa.BigInteger),
    sa.Column("tx_id", sa.Text),
    sa.Column("log_index", sa.Integer),
    sa.Index("reward_claims_order", "since", "claim_id"),
)

reward_claims_index = sa.Table(
    "reward_claims_index",
    metadata,
    sa.Column("subject", sa.Text, primary_key=True),  # the user, and the address
    sa.Column("since", sa.DateTime(timezone=True), primary_key=True),
    sa.Column("claim_id", sa.Text, primary_key=True),
)

reward_claim_steps = sa.Table(
    "reward_claim_steps",
    metadata,
    sa.Column("claim_id", sa.Text, primary_key=True),
    sa.Column("number", sa.BigInteger, primary_key=True),
    sa.Column("step", sa.Text, nullable=False),
    sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("tx_id", sa.Text),
)


class RewardClaims(Projection):
    """Every claim with its state, by whose it is, and its story."""

    name = "reward_claims"
    tables = (reward_claims, reward_claims_index, reward_claim_steps)
    about = {reward_claims: ("user", "claimant"), reward_claims_index: "subject"}  # noqa: RUF012 - a ClassVar of the base

    def prefetch(self, recorded: RecordedEvent) -> Iterable[tuple[sa.Table, Mapping[str, Any]]]:
        if isinstance(recorded.event, ClaimPaid | PaymentDone | PaymentFailed):  # which come in any order
            yield reward_claims, {"claim_id": recorded.event.claim_id}

    def key(self, recorded: RecordedEvent) -> str:
        """A stream is named by a part of the claim's id."""
        claim_id = getattr(recorded.event, "claim_id", None)
        return recorded.stream if claim_id is None else f"claim/{claim_id}"

    def rows_of(self, key: str) -> Mapping[sa.Table, Mapping[str, Any]]:
        return {table: {"claim_id": key.removeprefix("claim/")} for table in self.tables}

    @on(ClaimReserved)
    def reserved(self, event: ClaimReserved, recorded: RecordedEvent, rows: Rows) -> None:
        rows.insert(
            reward_claims,
            claim_id=event.claim_id,
            user=event.user,
            pool=event.pool.label,
            claimant=event.claimant,
            amount=event.amount,
            payer=event.payer,
            status="reserved",
            since=recorded.occurred_at,
            deadline=event.deadline,
            rule_version=event.rule_version,
        )
        for subject in {event.user, event.claimant} - {None}:
            rows.insert(reward_claims_index, subject=subject, since=recorded.occurred_at, claim_id=event.claim_id)
        _step(rows, recorded, "reserved")

    @on(ClaimAuthorised)
    def authorised(self, event: ClaimAuthorised, recorded: RecordedEvent, rows: Rows) -> None:
        _became(rows, recorded, "authorised")

    @on(ClaimProven)
    def proven(self, event: ClaimProven, recorded: RecordedEvent, rows: Rows) -> None:
        _became(rows, recorded, "proven")

    @on(PaymentDone)
    def sent(self, event: PaymentDone, recorded: RecordedEvent, rows: Rows) -> None:
        _told(rows, recorded, "sent", None, event.tx_id)

    @on(PaymentFailed)
    def failed(self, event: PaymentFailed, recorded: RecordedEvent, rows: Rows) -> None:
        _told(rows, recorded, "failed", f"{event.kind}: {event.reason}", event.tx_id)

    @on(ClaimReleased)
    def released(self, event: ClaimReleased, recorded: RecordedEvent, rows: Rows) -> None:
        _became(rows, recorded, "released", event.reason)

    @on(ClaimPaid)
    def paid(self, event: ClaimPaid, recorded: RecordedEvent, rows: Rows) -> None:
        key = {"claim_id": event.claim_id}
        payment = {
            "status": "paid",
            "reason": None,
            "day": event.day,
            "paid_at": event.source.block_time,
            "block_number": event.source.block_number,
            "tx_id": event.source.tx_id,
            "log_index": event.source.log_index,
        }
        if rows.get(reward_claims, key) is None:
            since, pool = event.source.block_time, event.pool.label
            terms = {"pool": pool, "claimant": event.claimant, "amount": event.amount, "since": since}
            rows.insert(reward_claims, **key, **terms, **payment)
            rows.insert(reward_claims_index, subject=event.claimant, since=since, claim_id=event.claim_id)
        else:
            rows.update(reward_claims, key, **payment)
        _step(rows, recorded, "paid", tx_id=event.source.tx_id)


def _became(rows: Rows, recorded: RecordedEvent, status: str, reason: str | None = None) -> None:
    key = {"claim_id": recorded.event.claim_id}
    rows.update(reward_claims, key, status=status, reason=reason)
    _step(rows, recorded, status, reason)


def _told(rows: Rows, recorded: RecordedEvent, status: str, reason: str | None, tx_id: str | None) -> None:
    """What is said of the transaction is the claim's state only until the vault has paid."""
    key = {"claim_id": recorded.event.claim_id}
    known = rows.get(reward_claims, key)
    if known is None or known["status"] != "paid":
        rows.update(reward_claims, key, status=status, reason=reason, tx_id=tx_id)
    _step(rows, recorded, status, reason, tx_id)


def _step(rows: Rows, recorded: RecordedEvent, step: str, reason: str | None = None, tx_id: str | None = None) -> None:
    rows.insert(
        reward_claim_steps,
        claim_id=recorded.event.claim_id,
        number=recorded.version,
        step=step,
        at=recorded.occurred_at,
        reason=reason,
        tx_id=tx_id,
    )
