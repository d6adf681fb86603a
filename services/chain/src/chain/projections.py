"""The read models of chain. Every table can be dropped and rebuilt from the log; queries.py asks them."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from chain.domain import (
    ZERO,
    BlocksIngested,
    ContractEvent,
    ContractsWatched,
    InternalTransfer,
    MoreInternalTransfers,
    TransactionSolidified,
    UndecodedLog,
)
from chain.progress import Operations
from eventlog import RecordedEvent
from projections import Amount, Projection, Rows, on

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
)

account_transactions = sa.Table(
    "account_transactions",
    metadata,
    sa.Column("address", sa.Text, primary_key=True),
    sa.Column("block_number", sa.BigInteger, primary_key=True),
    sa.Column("index_in_block", sa.Integer, primary_key=True),
    sa.Column("tx_id", sa.Text, nullable=False),
)

trx_balances = sa.Table(
    "trx_balances",
    metadata,
    sa.Column("address", sa.Text, primary_key=True),
    sa.Column("balance_sun", Amount, nullable=False),
    sa.Column("fees_sun", Amount, nullable=False),  # burned so far; `balance_sun` is after them
    sa.Column("unaccounted", sa.BigInteger, nullable=False),  # its transactions of kinds that may move TRX otherwise
)

token_balances = sa.Table(
    "token_balances",
    metadata,
    sa.Column("address", sa.Text, primary_key=True),
    sa.Column("balance", Amount, nullable=False),
)

token_supply = sa.Table(
    "token_supply",
    metadata,
    sa.Column("contract", sa.Text, primary_key=True),
    sa.Column("supply", Amount, nullable=False),
    sa.Column("minted", Amount, nullable=False),
    sa.Column("burned", Amount, nullable=False),
)

nft_owners = sa.Table(
    "nft_owners",
    metadata,
    sa.Column("token_id", Amount, primary_key=True),
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("track_id", Amount),
    sa.Column("edition", sa.BigInteger),
    sa.Column("last_tx_id", sa.Text, nullable=False),
    sa.Column("last_block", sa.BigInteger, nullable=False),
    sa.Index("nft_owners_owner", "owner", "token_id"),
)

nft_counts = sa.Table(
    "nft_counts",
    metadata,
    sa.Column("address", sa.Text, primary_key=True),
    sa.Column("tokens", sa.BigInteger, nullable=False),
)

contracts = sa.Table(
    "contracts",
    metadata,
    sa.Column("contract", sa.Text, primary_key=True),
    sa.Column("address", sa.Text, nullable=False),
    sa.Column("first_block", sa.BigInteger, nullable=False),  # watched since
    sa.Column("paused", sa.Boolean, nullable=False, default=False),
    sa.Column("events", sa.BigInteger, nullable=False, default=0),
    sa.Column("undecoded", sa.BigInteger, nullable=False, default=0),
    sa.Column("last_block", sa.BigInteger),
)

contract_roles = sa.Table(
    "contract_roles",
    metadata,
    sa.Column("contract", sa.Text, primary_key=True),
    sa.Column("role", sa.Text, primary_key=True),  # its hash; 64 zeros: the administrator
    sa.Column("account", sa.Text, primary_key=True),
    sa.Column("tx_id", sa.Text, nullable=False),
)

ingestion = sa.Table(
    "ingestion",
    metadata,
    sa.Column("chain", sa.Text, primary_key=True),  # one row: "chain"
    sa.Column("scope", sa.Text),  # whose transactions are recorded
    sa.Column("first_block", sa.BigInteger),
    sa.Column("last_block", sa.BigInteger),
    sa.Column("last_hash", sa.Text),
    sa.Column("last_time", sa.DateTime(timezone=True)),
    sa.Column("blocks", sa.BigInteger, nullable=False, default=0),
    sa.Column("transactions", sa.BigInteger, nullable=False, default=0),
    sa.Column("events", sa.BigInteger, nullable=False, default=0),
)


def _where(event: ContractEvent | UndecodedLog) -> dict[str, object]:
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
    """Every decoded event of the watched contracts, in the order of the chain."""

    name = "blockchain_events"
    tables = (blockchain_events,)

    @on(ContractEvent)
    def logged(self, event: ContractEvent, recorded: RecordedEvent, rows: Rows) -> None:
        rows.insert(blockchain_events, **_where(event), name=event.name, stream=recorded.stream, args=event.args)


class UndecodedLogs(Projection):
    """Logs of watched contracts that could not be decoded, raw, with the reason."""

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


class TrxBalances(Projection):
    """TRX of every account: transfers, call values, what contracts moved, and fees, from the genesis block on.

    Exact if all transactions are recorded from block 0 and the account has made none of a kind that moves TRX in other
    ways (staking, voting rewards): `unaccounted` counts those.
    """

    name = "trx_balances"
    totals = (trx_balances,)

    ACCOUNTED = frozenset(
        {"TransferContract", "TriggerSmartContract", "CreateSmartContract", "AccountCreateContract"}
        | {"TransferAssetContract", "VoteWitnessContract", "AccountUpdateContract", "UpdateSettingContract"}
        | {"UpdateEnergyLimitContract", "ClearABIContract", "AccountPermissionUpdateContract"}
    )
    """Kinds that move TRX by amount, call value, internal transfers and fee only, or not at all."""

    @on(TransactionSolidified)
    def moved(self, event: TransactionSolidified, recorded: RecordedEvent, rows: Rows) -> None:
        if event.owner != ZERO:  # nobody pays for the genesis block's allocations
            unaccounted = 0 if event.kind in self.ACCOUNTED else 1
            _credit(rows, event.owner, -event.fee_sun, fees_sun=event.fee_sun, unaccounted=unaccounted)
        amount = event.amount_sun + event.call_value_sun
        if amount and event.success and event.to is not None:
            self._move(event.owner, event.to, amount, rows)
        self._internal(event.internal, rows)

    @on(MoreInternalTransfers)
    def moved_on(self, event: MoreInternalTransfers, recorded: RecordedEvent, rows: Rows) -> None:
        self._internal(event.internal, rows)

    def _internal(self, transfers: Iterable[InternalTransfer], rows: Rows) -> None:
        for transfer in transfers:
            self._move(transfer.payer, transfer.payee, transfer.amount_sun, rows)

    def _move(self, payer: str, payee: str, amount_sun: int, rows: Rows) -> None:
        if payer != ZERO:
            _credit(rows, payer, -amount_sun)
        _credit(rows, payee, amount_sun)


def _credit(rows: Rows, address: str, amount_sun: int, *, fees_sun: int = 0, unaccounted: int = 0) -> None:
    rows.increment(
        trx_balances, {"address": address}, balance_sun=amount_sun, fees_sun=fees_sun, unaccounted=unaccounted
    )


class TokenBalances(Projection):
    """DCMX of every account, and the supply."""

    name = "token_balances"
    totals = (token_balances, token_supply)

    @on(ContractEvent)
    def moved(self, event: ContractEvent, recorded: RecordedEvent, rows: Rows) -> None:
        if event.contract != "dcmx-token" or event.name != "Transfer":
            return
        payer, payee, value = event.args["from"], event.args["to"], int(event.args["value"])
        minted = value if payer == ZERO else 0
        burned = value if payee == ZERO else 0
        if not minted:
            rows.increment(token_balances, {"address": payer}, balance=-value)
        if not burned:
            rows.increment(token_balances, {"address": payee}, balance=value)
        if minted or burned:
            supply = {"contract": event.contract}
            rows.increment(token_supply, supply, supply=minted - burned, minted=minted, burned=burned)


class NftOwners(Projection):
    """Who owns which edition, and how many each account has."""

    name = "nft_owners"
    tables = (nft_owners,)
    totals = (nft_counts,)

    @on(ContractEvent)
    def moved(self, event: ContractEvent, recorded: RecordedEvent, rows: Rows) -> None:
        if event.contract != "music-nft" or event.name not in ("Transfer", "EditionMinted"):
            return
        token = {"token_id": int(event.args["token_id"])}
        if event.name == "EditionMinted":  # comes after the token's first Transfer
            rows.update(nft_owners, token, track_id=int(event.args["track_id"]), edition=event.args["edition"])
            return
        before, owner = event.args["from"], event.args["to"]
        if owner == ZERO:
            rows.delete(nft_owners, token)
        else:
            place = {"last_tx_id": event.source.tx_id, "last_block": event.source.block_number}
            rows.upsert(nft_owners, token, owner=owner, **place)
            rows.increment(nft_counts, {"address": owner}, tokens=1)
        if before != ZERO:
            rows.increment(nft_counts, {"address": before}, tokens=-1)


class ContractState(Projection):
    """The watched contracts: where they are, whether paused, who holds which role, what they have logged."""

    name = "contract_state"
    tables = (contracts, contract_roles)

    def key(self, recorded: RecordedEvent) -> str:
        """One partition for all: a contract is watched in one stream, and lives in many."""
        return "contracts"

    @on(ContractsWatched)
    def watched(self, event: ContractsWatched, recorded: RecordedEvent, rows: Rows) -> None:
        for contract, address in event.contracts.items():
            rows.insert(contracts, contract=contract, address=address, first_block=event.first_block)

    @on(ContractEvent)
    def logged(self, event: ContractEvent, recorded: RecordedEvent, rows: Rows) -> None:
        key = {"contract": event.contract}
        rows.increment(contracts, key, events=1)
        changes: dict[str, object] = {"last_block": event.source.block_number}
        if event.name in ("Paused", "Unpaused"):
            changes["paused"] = event.name == "Paused"
        rows.update(contracts, key, **changes)
        if event.name in ("RoleGranted", "RoleRevoked"):
            role = {**key, "role": event.args["role"], "account": event.args["account"]}
            if event.name == "RoleGranted":
                rows.upsert(contract_roles, role, tx_id=event.source.tx_id)
            else:
                rows.delete(contract_roles, role)

    @on(UndecodedLog)
    def undecoded(self, event: UndecodedLog, recorded: RecordedEvent, rows: Rows) -> None:
        key = {"contract": event.contract}
        rows.increment(contracts, key, undecoded=1)
        rows.update(contracts, key, last_block=event.source.block_number)


class Ingestion(Projection):
    """How far the chain was read; the same as the cursor, for queries."""

    name = "ingestion"
    tables = (ingestion,)

    def key(self, recorded: RecordedEvent) -> str:
        return "chain"

    @on(ContractsWatched)
    def begun(self, event: ContractsWatched, recorded: RecordedEvent, rows: Rows) -> None:
        if recorded.version == 1:
            rows.insert(ingestion, chain="chain", scope=event.transactions, first_block=event.first_block)

    @on(BlocksIngested)
    def read(self, event: BlocksIngested, recorded: RecordedEvent, rows: Rows) -> None:
        key = {"chain": "chain"}
        rows.increment(ingestion, key, blocks=event.blocks, transactions=event.transactions, events=event.events)
        rows.update(ingestion, key, last_block=event.last, last_hash=event.last_hash, last_time=event.last_time)


ALL = (
    BlockchainEvents(),
    UndecodedLogs(),
    TransactionIndex(),
    TrxBalances(),
    TokenBalances(),
    NftOwners(),
    ContractState(),
    Ingestion(),
    Operations(),
)
