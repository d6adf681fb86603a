"""What the read models must say, computed straight from the node's blocks: no log, no Kafka, no projection.

The demo and the fault tests hold the services' tables against this, row by row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import asyncpg

from annals.demo.facts import HANDLERS, Facts, Place, Row, canonical, role_granted, role_revoked
from annals.demo.tables import TABLES
from annals.town import topic_name
from tron.abi import Decoded
from tron.address import ZERO, is_address
from tron.client import NodeClient
from tron.contract import Contract
from tron.deploy import Deployment
from tron.model import Block, Log, Transaction, TransactionInfo

BLOCKS_AT_ONCE = 50
_ROLES = {"RoleGranted": role_granted, "RoleRevoked": role_revoked}
_PAUSES = {"Paused": True, "Unpaused": False}


@dataclass
class Truth:
    """Facts of the chain up to a block, in the shape of the services' tables."""

    deployment: Deployment
    upto: int = -1
    transactions: int = 0
    events: Counter[str] = field(default_factory=Counter)
    facts: Facts = field(default_factory=Facts)
    heights: list[Row] = field(default_factory=list)
    """For each block its hash, and how many transactions and logs there are up to it."""

    def __post_init__(self) -> None:
        self._contracts = {contract.address: _Contract(contract) for contract in self.deployment.contracts()}
        for contract in self._contracts.values():
            self.facts.put("contracts", (contract.name,), contract.address, 0, False)

    async def read(self, client: NodeClient) -> None:
        """Take in the blocks that have been solidified since the last time."""
        solid = (await client.solid_head()).number
        while self.upto < solid:
            last = min(solid, self.upto + BLOCKS_AT_ONCE)
            for block in await client.blocks(self.upto + 1, last):
                infos = {info.tx_id: info for info in await client.infos_of(block)}
                self._take(block, infos)
                self.upto = block.number

    def _take(self, block: Block, infos: Mapping[str, TransactionInfo]) -> None:
        for index, transaction in enumerate(block.transactions):
            self.transactions += 1
            info = infos.get(transaction.tx_id)  # none in the genesis block, which has allocations and no receipts
            self._index(block, index, transaction, info)
            self._money(transaction, info)
            for log in info.logs if info is not None else ():
                if (contract := self._contracts.get(log.address)) is not None:
                    self._log(block, transaction, log, contract)
        logs = sum(map(sum, self.facts.sums.get("contract_counts", {}).values()))
        self.heights.append((block.hash, self.transactions, logs))

    def _index(self, block: Block, index: int, transaction: Transaction, info: TransactionInfo | None) -> None:
        contract = self._contracts.get(transaction.contract_address or "")
        name, method = (contract.name, contract.methods.get(transaction.data[:8])) if contract else (None, None)
        to = transaction.to or transaction.contract_address
        cost = (info.fee_sun, info.energy_used, info.bandwidth_used) if info is not None else (0, 0, 0)
        outcome = (info.success, info.result) if info is not None else (True, "SUCCESS")
        place = (block.number, block.hash, block.time_ms, index)
        moved = (transaction.amount_sun, transaction.call_value_sun)
        about = (transaction.kind, transaction.owner, to, name, method, *moved, *cost, *outcome, *place)
        self.facts.put("transaction_index", (transaction.tx_id,), *about)
        for address in {transaction.owner, to} - {ZERO, None}:
            self.facts.put("account_transactions", (address, block.number, index), transaction.tx_id)
        self.facts.add("hourly_transactions", (_hour(block),), 1, int(not outcome[0]), *cost)
        if transaction.owner != ZERO:
            day = datetime.fromtimestamp(block.time_ms / 1000, UTC).date().isoformat()
            self.facts.add("daily_accounts", (day, transaction.owner), 1)

    def _money(self, transaction: Transaction, info: TransactionInfo | None) -> None:
        if info is not None:
            self.facts.add("trx_balances", (transaction.owner,), -info.fee_sun, info.fee_sun)
        if info is None or info.success:
            amount_sun = transaction.amount_sun + transaction.call_value_sun
            self._move(transaction.owner, transaction.to or transaction.contract_address, amount_sun)
        for transfer in info.internal_transfers if info is not None else ():
            if not transfer.rejected:
                self._move(transfer.caller, transfer.to, transfer.value_sun)

    def _move(self, payer: str, payee: str | None, amount_sun: int) -> None:
        if payer != ZERO:  # the genesis block's allocations come from nowhere
            self.facts.add("trx_balances", (payer,), -amount_sun, 0)
        if payee is not None:
            self.facts.add("trx_balances", (payee,), amount_sun, 0)

    def _log(self, block: Block, transaction: Transaction, log: Log, contract: _Contract) -> None:
        decoded = contract.abi.decode_event(log.topics, log.data)
        if not isinstance(decoded, Decoded):
            self.facts.add("contract_counts", (contract.name,), 0, 1)
            self.facts.put("undecoded_logs", (block.number, log.index_in_block), transaction.tx_id, contract.name)
            return
        self.facts.add("contract_counts", (contract.name,), 1, 0)
        self.facts.add("hourly_events", (_hour(block), contract.name, decoded.name), 1)
        state = self.facts.get("contracts", contract.name)
        state[2] = _PAUSES.get(decoded.name, state[2])
        self.events[f"{contract.compiled}.{decoded.name}"] += 1
        about = (transaction.tx_id, contract.name, contract.address, decoded.name, canonical(decoded.args))
        key = (block.number, log.index_in_block)
        self.facts.put("blockchain_events", key, block.hash, block.time_ms, *about)
        for account in set(_accounts(decoded.args)) - {ZERO}:
            self.facts.put("account_events", (account, *key), decoded.name)
        if handler := HANDLERS.get((contract.name, decoded.name)) or _ROLES.get(decoded.name):
            place = Place(block.number, log.index_in_block, transaction.tx_id, block.time_ms, contract.name)
            handler(self.facts, decoded.args, place)

    # ---- comparing ------------------------------------------------------------------------------------------------

    async def differences(self, databases: Mapping[str, asyncpg.Pool]) -> list[str]:
        """What the services' tables say otherwise, a line for each table; empty when all agree."""
        self._custody()
        found = []
        for table in TABLES:
            if table.service not in databases:
                continue
            actual, expected = await table.read(databases[table.service]), self.facts.expected(table.facts)
            if actual != expected:
                missing, surplus = expected - actual, actual - expected
                found.append(
                    f"{table.service}.{table.facts}: {missing.total()} missing {_some(missing)}, "
                    f"{surplus.total()} too many {_some(surplus)}"
                )
        if "chain" in databases and (differs := await self._ingestion(databases["chain"])):
            found.append(differs)
        return found

    def _custody(self) -> None:
        """The books of royalties have to agree with the TRX that the two contracts hold, whatever was logged."""
        self.facts.rows["custody"] = {}
        for address in (self.deployment.nft, self.deployment.distributor):
            held_sun, _ = self.facts.sums.get("trx_balances", {}).get((address,), [0, 0])
            if held_sun:
                self.facts.put("custody", (f"custody:{self._contracts[address].name}",), held_sun)

    async def _ingestion(self, chain: asyncpg.Pool) -> str | None:
        """It moves on with each block, also one in which nothing happens; so it is held against the block it names."""
        row = await chain.fetchrow(
            "SELECT last_block, blocks, last_hash, transactions, events FROM ingestion_v1.ingestion WHERE blocks > 0"
        )
        if row is None or row["last_block"] > self.upto:
            return None
        expected = (row["last_block"], row["last_block"] + 1, *self.heights[row["last_block"]])
        return None if tuple(row) == expected else f"chain.ingestion: expected {expected}, found {tuple(row)}"


class _Contract:
    """One of the five, with what is needed to read its logs and its calls."""

    def __init__(self, contract: Contract) -> None:
        self.address = contract.address
        self.compiled = contract.NAME
        self.name = topic_name(contract.NAME)
        self.abi = contract.artifact().abi
        self.methods = {function.selector.hex(): function.name for function in self.abi.functions.values()}


def _hour(block: Block) -> int:
    return block.time_ms // 3_600_000 * 3_600_000


def _accounts(value: Any) -> Iterator[str]:
    """The addresses that an event names, also in lists."""
    match value:
        case Mapping():
            yield from _accounts(list(value.values()))
        case list() | tuple():
            for item in value:
                yield from _accounts(item)
        case str() if value[:1] == "T" and is_address(value):
            yield value
        case _:
            pass


def _some(rows: Counter[Row]) -> str:
    return f"({', '.join(str(row) for row in list(rows)[:2])})" if rows else ""
