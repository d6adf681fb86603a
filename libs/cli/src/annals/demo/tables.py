"""The read models that follow from the chain, and how to read them in the form in which `facts` has them."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import asyncpg

from annals.demo.facts import Row, canonical


@dataclass(frozen=True, slots=True)
class Table:
    """A table of a service: the columns in the order of the facts, and which rows have a fact behind them."""

    service: str
    facts: str
    schema: str
    columns: str
    where: str = "true"
    name: str = ""  # where it is another than that of the facts

    async def read(self, database: asyncpg.Pool) -> Counter[Row]:
        """Its rows as they are now."""
        name = self.name or self.facts
        rows = await database.fetch(f"SELECT {self.columns} FROM {self.schema}.{name} WHERE {self.where}")  # noqa: S608
        return Counter(tuple(plain(value) for value in row) for row in rows)


def plain(value: Any) -> Any:
    """A value as facts have it: whole numbers, times in milliseconds, JSON in one form."""
    match value:
        case Decimal():
            return int(value)
        case datetime():
            return round(value.timestamp() * 1000)
        case date():
            return value.isoformat()
        case str() if value[:1] in ("{", "["):
            return canonical(json.loads(value))
        case _:
            return value


TABLES = (
    Table(
        "chain",
        "blockchain_events",
        "blockchain_events_v1",
        "block_number, log_index, block_hash, block_time, tx_id, contract, address, name, args",
    ),
    Table("chain", "undecoded_logs", "undecoded_logs_v1", "block_number, log_index, tx_id, contract"),
    Table(
        "chain",
        "transaction_index",
        "transaction_index_v1",
        'tx_id, kind, owner, "to", contract, method, amount_sun, call_value_sun, fee_sun, energy_used, bandwidth_used,'
        "success, result, block_number, block_hash, block_time, index_in_block",
    ),
    Table("chain", "account_events", "blockchain_events_v1", "address, block_number, log_index, name"),
    Table("chain", "account_transactions", "transaction_index_v1", "address, block_number, index_in_block, tx_id"),
    Table(
        "chain",
        "hourly_transactions",
        "activity_v1",
        "hour, transactions, failed, fee_sun, energy_used, bandwidth_used",
    ),
    Table("chain", "hourly_events", "activity_v1", "hour, contract, name, events"),
    Table("chain", "daily_accounts", "activity_v1", "day, address, transactions"),
    Table(
        "chain",
        "trx_balances",
        "trx_balances_v1",
        "address, balance_sun, fees_sun",
        "balance_sun <> 0 OR fees_sun <> 0",
    ),
    Table("chain", "token_balances", "token_balances_v1", "address, contract, balance", "balance <> 0"),
    Table("chain", "token_supply", "token_balances_v1", "contract, supply, minted, burned"),
    Table("chain", "nft_owners", "nft_owners_v1", "token_id, owner, track_id, edition, last_tx_id, last_block"),
    Table("chain", "nft_counts", "nft_owners_v1", "address, tokens", "tokens <> 0"),
    Table("chain", "tracks", "tracks_v1", "track_id, title, artist_name, artist, royalty_bps"),
    Table("chain", "track_editions", "tracks_v1", "track_id, minted"),
    Table(
        "chain",
        "contracts",
        "contract_state_v1",
        "contract, address, first_block, paused",
    ),
    Table("chain", "contract_counts", "contract_state_v1", "contract, events, undecoded"),
    Table("chain", "contract_roles", "contract_state_v1", "contract, role, account, tx_id"),
    Table(
        "rewards",
        "reward_claims",
        "reward_claims_v1",
        "claim_id, pool, claimant, amount, day, paid_at, block_number, log_index, tx_id",
    ),
    Table("rewards", "reward_totals", "reward_totals_v1", "subject, pool, paid, times_paid", "times_paid <> 0"),
    Table("rewards", "pools", "pool_status_v1", "pool, funded, swept, paid, claims"),
    Table("rewards", "pool_limits", "pool_status_v1", "pool, active, daily_limit", name="pools"),
    Table(
        "royalties",
        "nft_sales",
        "sales_v1",
        "token_id, block_number, log_index, track_id, kind, seller, buyer, price_sun, forwarded_sun, tx_id, at",
    ),
    Table(
        "royalties",
        "track_payments",
        "royalties_v1",
        "track_id, payment_id, payer, kind, amount_sun, fee_sun, split_version, credited_sun, block_number, log_index,"
        "tx_id, at",
    ),
    Table(
        "royalties",
        "nft_royalties",
        "royalties_v1",
        "track_id, payment_id, recipient, amount_sun, kind, split_version, block_number, log_index, tx_id",
    ),
    Table(
        "royalties", "royalty_payments", "payouts_v1", "recipient, block_number, log_index, contract, amount_sun, tx_id"
    ),
    Table("royalties", "tracks", "splits_v1", "track_id, title, artist_name, artist, royalty_bps"),
    Table("royalties", "track_controllers", "splits_v1", "track_id, controller", name="tracks"),
    Table("royalties", "splits", "splits_v1", "track_id, version, shares, block_number, log_index, tx_id"),
    Table("royalties", "split_differences", "splits_v1", "track_id, recipient, block_number, log_index"),
    Table("royalties", "platform_fees", "platform_fees_v1", "block_number, log_index, old_bps, new_bps, tx_id"),
    Table("royalties", "balances", "ledger_v1", "account, asset, debits, credits", "debits <> 0 OR credits <> 0"),
    Table(
        "royalties",
        "custody",
        "ledger_v1",
        "account, debits - credits",
        "starts_with(account, 'custody:') AND debits <> credits",
        name="balances",
    ),
    Table("royalties", "artist_earnings", "ledger_v1", "recipient, asset, month, track_id, kind, amount, times"),
    Table(
        "royalties",
        "statement_lines",
        "ledger_v1",
        "owner, asset, block_number, log_index, account_class || ':' || owner, kind, amount, track_id, token_id,"
        "payment_id, split_version, tx_id",
        "account_class IN ('earnings', 'seller')",
        name="lines JOIN ledger_v1.entries USING (position)",
    ),
    Table(
        "compliance",
        "documents",
        "documents_v1",
        "document_type, version, content_hash, uri, published_at, block_number, log_index, tx_id",
    ),
    Table(
        "compliance",
        "acceptance_records",
        "acceptance_records_v1",
        "subject, document_type, version, content_hash, accepted_at, block_number, log_index, tx_id",
        "how = 'chain'",
    ),
    Table("compliance", "acceptance_counts", "acceptance_records_v1", "document_type, version, chain", "chain <> 0"),
    Table(
        "compliance",
        "compliance_index",
        "compliance_index_v1",
        "subject, document_type, accepted_version, accepted_at",
        "accepted_version IS NOT NULL",
    ),
    Table(
        # Which of an account's open requests is the duplicate of which depends on the order in which Kafka's partitions
        # are read, and with it the deadline and the state while it is open.
        "compliance",
        "data_deletion_requests",
        "data_deletion_requests_v1",
        "request_id, subject, law, received_at, block_number, log_index, tx_id,"
        "CASE WHEN state IN ('completed', 'denied') THEN state END, certificate_hash, denial_reason, closed_at,"
        "closed_block_number, closed_log_index, closed_tx_id",
        "tx_id IS NOT NULL",
    ),
    Table(
        # A request that the account has signed proves who it is; whether that still mattered depends on the order, too.
        "compliance",
        "audit_events",
        "audit_events_v1",
        "block_number, log_index, tx_id",
        "tx_id IS NOT NULL AND NOT starts_with(action, 'IdentityVerified')",
    ),
    Table("compliance", "admin_actions", "admin_actions_v1", "block_number, log_index, tx_id", "tx_id IS NOT NULL"),
)
