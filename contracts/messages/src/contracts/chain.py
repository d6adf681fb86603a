"""Solidified events of the five contracts, one topic per contract, keyed by contract and entity; and of others.

Nothing here is ever retracted: a message is published once its block is solidified. Names and units are those of the
Solidity events in `contracts/solidity`; identifiers and amounts of 256 bits travel as strings.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from functools import cached_property
from typing import Annotated, Any

from pydantic import Field

from contracts.envelope import Message
from contracts.values import Address, Amount, Hash, Time, Uint256


class Numbered(IntEnum):
    """What a contract numbers and we name."""

    @cached_property
    def label(self) -> str:
        """The name in streams, tables and requests: `listening`."""
        return self.name.lower()


class Pool(Numbered):
    """Reward kinds, as numbered by RewardVault."""

    SHARING = 0
    LISTENING = 1
    BANDWIDTH = 2
    VOTING = 3
    REFERRAL = 4


class DocumentType(Numbered):
    """Legal documents, as numbered by ComplianceRegistry."""

    TERMS = 0
    PRIVACY = 1
    COOKIES = 2
    ARTIST_AGREEMENT = 3
    LICENSE = 4


class Law(Numbered):
    """The law a deletion request invokes."""

    GDPR = 0
    CCPA = 1


class PaymentKind(IntEnum):
    """Why RoyaltyDistributor received money."""

    PRIMARY = 0
    SECONDARY = 1
    DIRECT = 2


@dataclass(frozen=True, slots=True)
class Source:
    """Where on the chain a fact stands: enough to look it up at any node."""

    # No model: every fact has one, and a dataclass takes half the time to read and a quarter to make. It is checked as
    # a part of a message or event that is read, not where it is made.
    contract: Address
    block_number: Annotated[int, Field(ge=0)]
    block_hash: Hash
    block_time: Time
    tx_id: Hash
    log_index: Annotated[int, Field(ge=0, description="position among the logs of the block")]

    def __str__(self) -> str:
        return f"block {self.block_number}, transaction {self.tx_id}, log {self.log_index}"


class ChainMessage(Message):
    """An event of a contract together with its place on the chain."""

    source: Source

    @property
    def occurred_at(self) -> datetime:
        return self.source.block_time


# DCMXToken: amounts in 10^-18 DCMX


class TokenTransfer(ChainMessage, type="chain.dcmx-token.Transfer.v1"):
    from_address: Address
    to: Address
    value: Amount


class TokenApproval(ChainMessage, type="chain.dcmx-token.Approval.v1"):
    owner: Address
    spender: Address
    value: Amount


class MinterAuthorized(ChainMessage, type="chain.dcmx-token.MinterAuthorized.v1"):
    minter: Address
    allowance: Amount


class MinterRevoked(ChainMessage, type="chain.dcmx-token.MinterRevoked.v1"):
    minter: Address


class TokenMinted(ChainMessage, type="chain.dcmx-token.Minted.v1"):
    minter: Address
    to: Address
    amount: Amount


class TokenBurned(ChainMessage, type="chain.dcmx-token.Burned.v1"):
    from_address: Address
    amount: Amount


# MusicNFT: prices in sun


class TrackReleased(ChainMessage, type="chain.music-nft.TrackReleased.v1"):
    track_id: Uint256
    artist: Address
    title: str
    artist_name: str
    content_hash: Hash
    max_editions: int = Field(ge=0, lt=2**32)
    price_sun: Amount
    royalty_bps: int = Field(ge=0, le=10_000)


class EditionMinted(ChainMessage, type="chain.music-nft.EditionMinted.v1"):
    token_id: Uint256
    track_id: Uint256
    to: Address
    edition: int = Field(ge=1, lt=2**32)


class PrimarySale(ChainMessage, type="chain.music-nft.PrimarySale.v1"):
    token_id: Uint256
    track_id: Uint256
    buyer: Address
    artist: Address
    price_sun: Amount


class Listed(ChainMessage, type="chain.music-nft.Listed.v1"):
    token_id: Uint256
    seller: Address
    price_sun: Amount


class ListingCancelled(ChainMessage, type="chain.music-nft.ListingCancelled.v1"):
    token_id: Uint256


class SecondarySale(ChainMessage, type="chain.music-nft.SecondarySale.v1"):
    token_id: Uint256
    track_id: Uint256
    buyer: Address
    seller: Address
    price_sun: Amount
    royalty_receiver: Address
    royalty_sun: Amount


class TokenRoyaltySet(ChainMessage, type="chain.music-nft.TokenRoyaltySet.v1"):
    """From here on, resales of this edition pay another royalty than those of its track's other editions."""

    token_id: Uint256
    royalty_bps: int = Field(ge=0, le=10_000)


class PriceChanged(ChainMessage, type="chain.music-nft.PriceChanged.v1"):
    track_id: Uint256
    old_price_sun: Amount
    new_price_sun: Amount


class NftTransfer(ChainMessage, type="chain.music-nft.Transfer.v1"):
    from_address: Address
    to: Address
    token_id: Uint256


class SellerWithdrawn(ChainMessage, type="chain.music-nft.Withdrawn.v1"):
    account: Address
    amount_sun: Amount


# RoyaltyDistributor: amounts in sun, shares in parts per million


class SplitConfigured(ChainMessage, type="chain.royalty-distributor.SplitConfigured.v1"):
    track_id: Uint256
    version: int = Field(ge=1, lt=2**32)
    recipients: tuple[Address, ...]
    shares_ppm: tuple[int, ...]


class SplitControlProposed(ChainMessage, type="chain.royalty-distributor.SplitControlProposed.v1"):
    track_id: Uint256
    from_address: Address
    to: Address


class SplitControlAccepted(ChainMessage, type="chain.royalty-distributor.SplitControlAccepted.v1"):
    track_id: Uint256
    controller: Address


class PaymentReceived(ChainMessage, type="chain.royalty-distributor.PaymentReceived.v1"):
    track_id: Uint256
    payment_id: Uint256
    payer: Address
    kind: PaymentKind
    amount_sun: Amount
    fee_sun: Amount
    split_version: int = Field(ge=0, lt=2**32)


class RoyaltyCredited(ChainMessage, type="chain.royalty-distributor.RoyaltyCredited.v1"):
    track_id: Uint256
    payment_id: Uint256
    recipient: Address
    amount_sun: Amount


class CarrySettled(ChainMessage, type="chain.royalty-distributor.CarrySettled.v1"):
    track_id: Uint256
    version: int = Field(ge=0, lt=2**32)
    recipient: Address
    amount_sun: Amount


class RoyaltyWithdrawn(ChainMessage, type="chain.royalty-distributor.Withdrawn.v1"):
    account: Address
    amount_sun: Amount


class PlatformFeeChanged(ChainMessage, type="chain.royalty-distributor.PlatformFeeChanged.v1"):
    old_bps: int = Field(ge=0, le=10_000)
    new_bps: int = Field(ge=0, le=10_000)


class FeeRecipientChanged(ChainMessage, type="chain.royalty-distributor.FeeRecipientChanged.v1"):
    """From here on, fees are credited to another account. The first, when the contract is made, has no old one."""

    old_recipient: Address
    new_recipient: Address


# RewardVault: amounts in 10^-18 DCMX


class PoolFunded(ChainMessage, type="chain.reward-vault.PoolFunded.v1"):
    pool: Pool
    funder: Address
    amount: Amount


class PoolConfigured(ChainMessage, type="chain.reward-vault.PoolConfigured.v1"):
    pool: Pool
    daily_limit: Amount
    active: bool


class RewardClaimed(ChainMessage, type="chain.reward-vault.RewardClaimed.v1"):
    claim_id: Hash
    pool: Pool
    claimant: Address
    amount: Amount
    day: int = Field(ge=0, description="days since 1970-01-01 UTC, counted by the contract")


class VerifierChanged(ChainMessage, type="chain.reward-vault.VerifierChanged.v1"):
    old_verifier: Address
    new_verifier: Address


class PoolSwept(ChainMessage, type="chain.reward-vault.PoolSwept.v1"):
    pool: Pool
    to: Address
    amount: Amount


class ListeningVerifierChanged(ChainMessage, type="chain.reward-vault.ListeningVerifierChanged.v1"):
    old_verifier: Address
    new_verifier: Address


class PeriodOpened(ChainMessage, type="chain.reward-vault.PeriodOpened.v1"):
    period: int = Field(ge=0, lt=2**64)
    commitment: Uint256 = Field(description="to the period's listening records")
    threshold: int = Field(ge=0, lt=2**32, description="seconds that a claim has to prove")
    amount: Amount = Field(description="paid for each claim")
    deadline: int = Field(ge=0, lt=2**64, description="Unix time of the last second at which claims are paid")
    verifier: Address = Field(description="the contract that checks this period's claims")


class PeriodClosed(ChainMessage, type="chain.reward-vault.PeriodClosed.v1"):
    period: int = Field(ge=0, lt=2**64)


class BatchOpened(ChainMessage, type="chain.reward-vault.BatchOpened.v1"):
    """Its total has left the pool's budget."""

    batch: int = Field(ge=0, lt=2**64)
    pool: Pool
    root: Hash
    total: Amount
    deadline: int = Field(ge=0, lt=2**64, description="Unix time of the last second at which entries are paid")


class BatchPaid(ChainMessage, type="chain.reward-vault.BatchPaid.v1"):
    batch: int = Field(ge=0, lt=2**64)
    index: Uint256
    account: Address
    amount: Amount


class BatchSwept(ChainMessage, type="chain.reward-vault.BatchSwept.v1"):
    """What the batch had not paid has come back to the pool's budget."""

    batch: int = Field(ge=0, lt=2**64)
    pool: Pool
    amount: Amount


# ComplianceRegistry


class DocumentPublished(ChainMessage, type="chain.compliance-registry.DocumentPublished.v1"):
    document_type: DocumentType
    version: int = Field(ge=1, lt=2**32)
    content_hash: Hash
    uri: str


class DocumentAccepted(ChainMessage, type="chain.compliance-registry.DocumentAccepted.v1"):
    account: Address
    document_type: DocumentType
    version: int = Field(ge=1, lt=2**32)
    content_hash: Hash


class DeletionRequested(ChainMessage, type="chain.compliance-registry.DeletionRequested.v1"):
    request_id: Hash
    account: Address
    law: Law


class DeletionCompleted(ChainMessage, type="chain.compliance-registry.DeletionCompleted.v1"):
    request_id: Hash
    certificate_hash: Hash


class DeletionDenied(ChainMessage, type="chain.compliance-registry.DeletionDenied.v1"):
    request_id: Hash
    reason: int = Field(ge=0, lt=256)


class RootAnchored(ChainMessage, type="chain.compliance-registry.RootAnchored.v1"):
    log_id: Hash
    segment: int = Field(ge=0, lt=2**64)
    root: Hash


# Contracts whose meaning is not known here: as their ABIs say


class EventLogged(ChainMessage, type="chain.events.EventLogged.v1"):
    """An event of a contract that was added to a running service; or a raw log of any contract, decoded later.

    The messages of a contract come in the chain's order, but for two kinds: what it logged before it was watched comes
    while that is read, with a key of its own (`<contract>/past`), and what is `late` when an ABI tells it. `source`
    says where each belongs.
    """

    contract: str = Field(description="its name in the chain service", max_length=100)
    name: str = Field(description="as in the ABI", max_length=200)
    args: dict[str, Any] = Field(
        description="by name in snake case; integers of more than 64 bits as decimal strings, bytes as hex"
    )
    late: bool = Field(False, description="kept raw at first, decoded by an ABI that came later")


# How far the chain was read


class BlocksSolidified(Message, type="chain.blocks.BlocksSolidified.v1"):
    """Everything of the blocks `first` to `last` was told on the other topics, before this.

    So whoever has read those up to here knows what has not happened until `last_time`.
    """

    first: int = Field(ge=0)
    last: int = Field(ge=0)
    last_hash: Hash
    last_time: Time
