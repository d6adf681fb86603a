"""The state of the contracts as their events tell it, from the block on since which each is watched."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import sqlalchemy as sa

from chain.domain import CONTRACTS, ContractEvent, ContractsWatched, LogDecoded, UndecodedLog
from eventlog import RecordedEvent
from projections import Amount, Projection, Rows, on

metadata = sa.MetaData()
Change = Callable[[ContractEvent, Rows], None]

contracts = sa.Table(
    "contracts",
    metadata,
    sa.Column("contract", sa.Text, primary_key=True),
    sa.Column("address", sa.Text, nullable=False),
    sa.Column("first_block", sa.BigInteger, nullable=False),  # watched since
    sa.Column("paused", sa.Boolean, nullable=False, default=False),
)

contract_counts = sa.Table(
    "contract_counts",
    metadata,
    sa.Column("contract", sa.Text, primary_key=True),
    sa.Column("events", sa.BigInteger, nullable=False),
    sa.Column("undecoded", sa.BigInteger, nullable=False),
)

contract_roles = sa.Table(
    "contract_roles",
    metadata,
    sa.Column("contract", sa.Text, primary_key=True),
    sa.Column("role", sa.Text, primary_key=True),  # its hash; 64 zeros: the administrator
    sa.Column("account", sa.Text, primary_key=True),
    sa.Column("tx_id", sa.Text, nullable=False),
)

contract_settings = sa.Table(
    "contract_settings",
    metadata,
    sa.Column("contract", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
    sa.Column("tx_id", sa.Text, nullable=False),
)

token_minters = sa.Table(
    "token_minters",
    metadata,
    sa.Column("minter", sa.Text, primary_key=True),
    sa.Column("allowance", Amount),  # as it was authorised; null: it never was, like the deployer's first mint
    sa.Column("minted", Amount, nullable=False, default=0),  # since then
)

reward_pools = sa.Table(
    "reward_pools",
    metadata,
    sa.Column("pool", sa.Integer, primary_key=True),
    sa.Column("active", sa.Boolean, nullable=False, default=False),
    sa.Column("daily_limit", Amount, nullable=False, default=0),
    sa.Column("budget", Amount, nullable=False, default=0),
)


def _paused(event: ContractEvent, rows: Rows) -> None:
    rows.update(contracts, {"contract": event.contract}, paused=event.name == "Paused")


def _role_granted(event: ContractEvent, rows: Rows) -> None:
    rows.upsert(contract_roles, _role(event), tx_id=event.source.tx_id)


def _role_revoked(event: ContractEvent, rows: Rows) -> None:
    rows.delete(contract_roles, _role(event))


def _role(event: ContractEvent) -> dict[str, str]:
    return {"contract": event.contract, "role": event.args["role"], "account": event.args["account"]}


def _setting(name: str, argument: str) -> Change:
    """For an event that only says what a setting is now."""

    def changed(event: ContractEvent, rows: Rows) -> None:
        key = {"contract": event.contract, "name": name}
        rows.upsert(contract_settings, key, value=str(event.args[argument]), tx_id=event.source.tx_id)

    return changed


def _minter_authorised(event: ContractEvent, rows: Rows) -> None:
    allowance = int(event.args["allowance"])
    rows.upsert(token_minters, {"minter": event.args["minter"]}, allowance=allowance, minted=0)


def _minter_revoked(event: ContractEvent, rows: Rows) -> None:
    rows.delete(token_minters, {"minter": event.args["minter"]})


def _minted(event: ContractEvent, rows: Rows) -> None:
    rows.increment(token_minters, {"minter": event.args["minter"]}, minted=int(event.args["amount"]))


def _pool_configured(event: ContractEvent, rows: Rows) -> None:
    args = event.args
    rows.upsert(reward_pools, {"pool": args["pool"]}, active=args["active"], daily_limit=int(args["daily_limit"]))


def _pool_gained(event: ContractEvent, rows: Rows) -> None:
    rows.increment(reward_pools, {"pool": event.args["pool"]}, budget=int(event.args["amount"]))


def _pool_lost(event: ContractEvent, rows: Rows) -> None:
    rows.increment(reward_pools, {"pool": event.args["pool"]}, budget=-int(event.args["amount"]))


def _batch_opened(event: ContractEvent, rows: Rows) -> None:
    rows.increment(reward_pools, {"pool": event.args["pool"]}, budget=-int(event.args["total"]))


_ADMINISTRATION: Mapping[str, Change] = {
    "Paused": _paused,
    "Unpaused": _paused,
    "RoleGranted": _role_granted,
    "RoleRevoked": _role_revoked,
}
CHANGES: Mapping[tuple[str, str], Change] = {
    **{(contract, name): change for contract in CONTRACTS for name, change in _ADMINISTRATION.items()},
    ("dcmx-token", "MinterAuthorized"): _minter_authorised,
    ("dcmx-token", "MinterRevoked"): _minter_revoked,
    ("dcmx-token", "Minted"): _minted,
    ("reward-vault", "PoolConfigured"): _pool_configured,
    ("reward-vault", "PoolFunded"): _pool_gained,
    ("reward-vault", "RewardClaimed"): _pool_lost,
    ("reward-vault", "PoolSwept"): _pool_lost,
    ("reward-vault", "BatchOpened"): _batch_opened,
    ("reward-vault", "BatchSwept"): _pool_gained,
    ("reward-vault", "VerifierChanged"): _setting("verifier", "new_verifier"),
    ("reward-vault", "ListeningVerifierChanged"): _setting("listening_verifier", "new_verifier"),
    ("royalty-distributor", "PlatformFeeChanged"): _setting("platform_fee_bps", "new_bps"),
    ("royalty-distributor", "FeeRecipientChanged"): _setting("fee_recipient", "new_recipient"),
}
"""What an event of a contract changes. The others, of tokens, tracks and claims, are no state of it as a whole."""


class ContractState(Projection):
    """Where the watched contracts are, whether they are paused, who may do what, and how they are set."""

    name = "contract_state"
    tables = (contracts, contract_roles, contract_settings, token_minters, reward_pools)
    totals = (contract_counts,)

    def key(self, recorded: RecordedEvent) -> str:
        """One partition for all: a contract is watched in one stream, and lives in many."""
        return "contracts"

    @on(ContractsWatched)
    def watched(self, event: ContractsWatched, recorded: RecordedEvent, rows: Rows) -> None:
        for contract, address in event.contracts.items():
            rows.insert(contracts, contract=contract, address=address, first_block=event.first_block)

    @on(ContractEvent)
    def logged(self, event: ContractEvent, recorded: RecordedEvent, rows: Rows) -> None:
        rows.increment(contract_counts, {"contract": event.contract}, events=1, undecoded=0)
        if (change := CHANGES.get((event.contract, event.name))) is not None:
            change(event, rows)

    @on(UndecodedLog)
    def undecoded(self, event: UndecodedLog, recorded: RecordedEvent, rows: Rows) -> None:
        rows.increment(contract_counts, {"contract": event.contract}, events=0, undecoded=1)

    @on(LogDecoded)
    def decoded(self, event: LogDecoded, recorded: RecordedEvent, rows: Rows) -> None:
        rows.increment(contract_counts, {"contract": event.contract}, events=1, undecoded=-1)
