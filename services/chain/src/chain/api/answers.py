"""What the answers look like. Every one says of which block it is: `as_of`, from the same snapshot as the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, Field

from chain.queries import Period
from contracts.values import Amount, SignedAmount, Uint256
from service import Page, PageRequest
from service.queries import Row

T = TypeVar("T")
MOST_EVENTS = 1_000


class AsOf(BaseModel):
    """A solidified block: everything up to it is in the answer."""

    block_number: int
    block_hash: str
    block_time: datetime
    exact: bool = Field(
        description="Nothing else is in it. False for a moment while several blocks are taken in, and as long as an "
        "event that failed waits for an operator."
    )


class Answer(BaseModel):
    as_of: AsOf | None = Field(description="null before the first block was read")


class Listing(Page[T], Answer, Generic[T]):
    """A page, and the block it holds for; the next page may be of a later one."""


def listing(paging: PageRequest, found: Row, items: Sequence[T], key: Callable[[T], tuple[Any, ...]]) -> Listing[T]:
    """The page for items of which the query `found` one more than asked for, if there are more."""
    page = paging.page(items, key)
    return Listing(items=page.items, next=page.next, as_of=found["as_of"])


# ---- events and transactions ------------------------------------------------------------------------------------


class OnChain(BaseModel):
    """Where something stands."""

    block_number: int
    block_hash: str
    block_time: datetime
    tx_id: str


class Log(OnChain):
    contract: str
    address: str
    log_index: int


class Event(Log):
    name: str
    args: dict[str, Any]
    stream: str


class UndecodedLog(Log):
    topics: list[str]
    data: str
    data_bytes: int
    reason: str


class Transaction(OnChain):
    index_in_block: int
    kind: str
    owner: str
    to: str | None
    contract: str | None
    method: str | None
    amount_sun: SignedAmount
    call_value_sun: SignedAmount
    fee_sun: SignedAmount
    energy_used: int
    bandwidth_used: int
    success: bool
    result: str


class TransactionDetail(Transaction, Answer):
    events: list[Event] = Field(description=f"what watched contracts logged, the first {MOST_EVENTS}")


# ---- balances and NFTs ------------------------------------------------------------------------------------------


class Balances(Answer):
    address: str
    trx_sun: SignedAmount | None = Field(
        description="null unless it is exact: all transactions from block 0, no staking"
    )
    fees_sun: SignedAmount = Field(description="burned by its recorded transactions")
    dcmx: SignedAmount = Field(description="10^-18 DCMX; below zero only if its first tokens were not seen coming")
    tokens: dict[str, SignedAmount] = Field(
        description="contracts that were added -> of each TRC-20 token in its smallest unit, since it is watched"
    )
    nfts: int


class Holder(BaseModel):
    address: str
    balance: Amount = Field(description="in the token's smallest unit: 10^-18 DCMX")


class Holders(Listing[Holder]):
    holders: int = Field(description="how many there are")
    supply: SignedAmount


class Edition(BaseModel):
    token_id: Uint256
    owner: str
    track_id: Uint256 | None
    edition: int | None
    last_tx_id: str
    last_block: int


class Nft(Edition, Answer):
    """An edition, by itself."""


class TrackEntry(BaseModel):
    """A track; what is null was said before the first block that was read."""

    track_id: Uint256
    title: str | None
    artist_name: str | None
    artist: str | None
    content_hash: str | None
    max_editions: int | None
    minted: int = Field(description="editions that were made, also those burned since")
    price_sun: Amount | None = Field(description="of an edition not yet sold; 0: not for sale")
    royalty_bps: int | None
    released_at: datetime | None
    released_tx_id: str | None


class Track(TrackEntry, Answer):
    """A track, by itself."""


# ---- the contracts ----------------------------------------------------------------------------------------------


class Pool(BaseModel):
    pool: int = Field(description="0 sharing, 1 listening, 2 bandwidth, 3 voting, 4 referral")
    active: bool
    daily_limit: Amount = Field(description="per account and day")
    budget: SignedAmount = Field(description="funded and not yet paid")


class Contract(BaseModel):
    """A contract's state as its events tell it, from `first_block` on."""

    contract: str
    address: str
    first_block: int = Field(description="watched from this block on")
    paused: bool
    events: int
    undecoded: int
    roles: dict[str, list[str]] = Field(description="role -> accounts that hold it")
    settings: dict[str, str] = Field(description="platform_fee_bps, fee_recipient, verifier")
    supply: SignedAmount | None = Field(None, description="of a token, as far as its transfers tell; smallest unit")
    minters: dict[str, Amount] | None = Field(
        None, description="of a token: minter -> what it may still mint; 2^256-1: no limit but the cap"
    )
    pools: list[Pool] | None = Field(None, description="of the vault")


class Contracts(Answer):
    contracts: list[Contract]


# ---- analytics --------------------------------------------------------------------------------------------------


class TransactionCount(BaseModel):
    """The recorded transactions of an hour or a day, and what they cost."""

    start: datetime
    transactions: int
    failed: int
    fee_sun: Amount
    energy_used: int
    bandwidth_used: int
    active_accounts: int | None = Field(description="accounts that signed; only by day")


class EventCount(BaseModel):
    start: datetime
    contract: str
    name: str
    events: int


class Timeline(Answer, Generic[T]):
    """since <= start < until, in order; periods in which nothing went on are left out."""

    by: Period
    since: datetime
    until: datetime
    periods: list[T]


# ---- the service ------------------------------------------------------------------------------------------------


class Status(BaseModel):
    """How far the chain was read. Heights of the node are null while it does not answer; `node` says why."""

    node: str = Field(description="`ok`, or why the node gives no answer")
    head: int | None = Field(description="the node's newest block")
    solid: int | None = Field(description="its newest solidified block")
    ingested: int | None = Field(description="the last block in the read models; null before the first")
    lag_blocks: int | None = Field(description="head - ingested; about 18 of them are not solidified yet")
    behind_solid_blocks: int | None = Field(description="solid - ingested: what is still to be read")
    lag_seconds: float | None = Field(description="age of the last block ingested")
    first_block: int | None
    transactions_recorded: str | None = Field(description="`all`, or those that touch a `watched` contract")
    blocks: int
    transactions: int
    events: int
