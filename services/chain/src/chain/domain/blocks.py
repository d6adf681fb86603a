"""Facts of solidified blocks, each in the stream of the entity it concerns. Pure.

The chain has decided already, so there are no commands here: what `handlers.py` reads from a block becomes an event.
Amounts are in the contract's own units (sun for TRX, 10^-18 for DCMX).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from contracts.chain import Source

Args = Mapping[str, Any]
Scope = Literal["all", "watched", "logged"]
"""Whose transactions are recorded: everybody's, those that touch a watched contract, those that logged there."""

ZERO = "T9yD14Nj9j7xAB4dbGeiX9h8unkKHxuWwb"
"""The address of 20 zero bytes: what is minted comes from it, what is burned goes to it."""


# ---- contracts: what they logged --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ContractEvent:
    """A decoded log of a watched contract.

    `args` has the names of the ABI in snake case. Integers of more than 64 bits are strings of decimal digits, bytes
    are hex without 0x, addresses base58check.
    """

    contract: str  # its name here: "music-nft"
    name: str  # the event's: "PrimarySale"
    args: dict[str, Any]
    source: Source


@dataclass(frozen=True, slots=True)
class UndecodedLog:
    """A log of a watched contract that is no event we know, or has contents that don't fit: kept raw, with the reason.

    `data` is cut after 400,000 hex digits; `data_bytes` is its full length, the transaction on the chain has the rest.
    """

    contract: str
    topics: tuple[str, ...]
    data: str
    data_bytes: int
    reason: str
    source: Source


@dataclass(frozen=True, slots=True)
class LogDecoded:
    """An `UndecodedLog`, decoded by an ABI that came later; `raw` is that event's id.

    It stands behind the raw log, in the order in which it became known and not in the chain's, which `source` tells.
    """

    contract: str
    name: str
    args: dict[str, Any]
    source: Source
    raw: str


# ---- transactions: what they moved and cost ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class InternalTransfer:
    """TRX that contracts moved inside a transaction, summed per payer and payee."""

    payer: str
    payee: str
    amount_sun: int


@dataclass(frozen=True, slots=True)
class TransactionSolidified:
    """A transaction in a solidified block, successful or not; a failed one moved nothing but still cost `fee_sun`."""

    tx_id: str
    kind: str  # the protocol's contract type: TransferContract, TriggerSmartContract, ...
    owner: str  # who signed and paid; the zero address in the genesis block
    to: str | None  # receiver of a transfer, else the contract called or created
    contract: str | None  # the name of a watched contract called
    method: str | None  # its function, when its ABI has it
    amount_sun: int  # moved by a transfer
    call_value_sun: int  # sent along with a call or creation
    fee_sun: int  # burned
    energy_used: int
    bandwidth_used: int  # bytes paid from staked or free bandwidth
    success: bool
    result: str  # SUCCESS, REVERT, OUT_OF_ENERGY, ...
    block_number: int
    block_hash: str
    block_time: datetime
    index_in_block: int
    internal: tuple[InternalTransfer, ...]


@dataclass(frozen=True, slots=True)
class MoreInternalTransfers:
    """Internal transfers beyond the first `MAX_INTERNAL` of a transaction: no event grows without bound."""

    tx_id: str
    internal: tuple[InternalTransfer, ...]


MAX_INTERNAL = 2_000


# ---- the cursor: how far the chain was read ---------------------------------------------------------------------

CURSOR = "cursor"
"""The stream whose last event is the cursor. Every append names its version, so that two ingesters can't both win."""

WATCH = "watch"
"""The stream that says what is recorded, and from which block on; `watch.py` reads it."""


@dataclass(frozen=True, slots=True)
class ContractsWatched:
    """From `first_block` on these contracts' logs (name -> address) are recorded, too; and whose transactions are.

    The transactions that `accounts` sign are recorded whatever `transactions` says: what is sent by this service is
    settled by them.
    """

    contracts: dict[str, str]
    transactions: Scope
    first_block: int
    accounts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BlocksIngested:
    """Everything of the blocks `first` to `last` is in the log, before this event; the counts say how much."""

    first: int
    last: int
    last_hash: str
    last_time: datetime
    blocks: int
    transactions: int
    events: int  # contract events and undecoded logs


# ---- streams ----------------------------------------------------------------------------------------------------

_ENTITIES: Mapping[str, Mapping[str, str]] = {
    "music-nft": {
        "TrackReleased": "track/{track_id}",
        "PriceChanged": "track/{track_id}",
        "EditionMinted": "token/{token_id}",
        "PrimarySale": "token/{token_id}",
        "Listed": "token/{token_id}",
        "ListingCancelled": "token/{token_id}",
        "SecondarySale": "token/{token_id}",
        "TokenRoyaltySet": "token/{token_id}",
        "Transfer": "token/{token_id}",
        "Approval": "token/{token_id}",
        "ApprovalForAll": "account/{owner}",
        "Withdrawn": "account/{account}",
    },
    "royalty-distributor": {
        "SplitConfigured": "track/{track_id}",
        "SplitControlProposed": "track/{track_id}",
        "SplitControlAccepted": "track/{track_id}",
        "PaymentReceived": "track/{track_id}",
        "RoyaltyCredited": "track/{track_id}",
        "CarrySettled": "track/{track_id}",
        "Withdrawn": "account/{account}",
        "PlatformFeeChanged": "platform",
        "FeeRecipientChanged": "platform",
    },
    "reward-vault": {
        "RewardClaimed": "claim/{claim_id}",
        "PoolFunded": "pool/{pool}",
        "PoolConfigured": "pool/{pool}",
        "PoolSwept": "pool/{pool}",
        "VerifierChanged": "verifier",
        "ListeningVerifierChanged": "verifier",
        "PeriodOpened": "period/{period}",
        "PeriodClosed": "period/{period}",
        "BatchOpened": "batch/{batch}",
        "BatchPaid": "batch/{batch}",
        "BatchSwept": "batch/{batch}",
    },
    "compliance-registry": {
        "DocumentPublished": "document/{document_type}",
        "DocumentAccepted": "account/{account}",
        "DeletionRequested": "request/{request_id}",
        "DeletionCompleted": "request/{request_id}",
        "DeletionDenied": "request/{request_id}",
        "RootAnchored": "anchor/{log_id}",
    },
    "dcmx-token": {
        "Transfer": "account/{from}",  # a mint: account/{to}, see event_stream
        "Approval": "account/{owner}",
        "MinterAuthorized": "account/{minter}",
        "MinterRevoked": "account/{minter}",
        "Minted": "account/{minter}",
        "Burned": "account/{from}",
    },
}
"""Which entity an event concerns: its stream, its order, its key on Kafka. What isn't here is administration."""

CONTRACTS = tuple(_ENTITIES)
"""The names of the contracts whose meaning is known. Others can be watched, too; each is one entity."""


def event_stream(contract: str, name: str, args: Args) -> str:
    """The stream of a contract's event: `music-nft/token/7`. Roles, pauses and the like: `music-nft/admin`.

    Those of a contract that is not among CONTRACTS are in `<contract>/events`.
    """
    if contract not in _ENTITIES:
        return f"{contract}/events"
    entity = _ENTITIES[contract].get(name)
    if entity is None:
        return f"{contract}/admin"
    if args.get("from") == ZERO and contract == "dcmx-token":
        entity = "account/{to}"
    return f"{contract}/{entity.format_map(args)}"


def past_stream(contract: str) -> str:
    """The stream of what a contract logged before it was watched: read later, and in order by itself."""
    return f"{contract}/past"


def undecoded_stream(contract: str) -> str:
    """The stream of a contract's raw logs, and of what they say once an ABI tells."""
    return f"{contract}/undecoded"


def transaction_stream(owner: str) -> str:
    """The stream of an account's own transactions."""
    return f"account/{owner}"
