"""The read models of rewards, a module for each kind. Every table can be dropped and rebuilt from the log."""

from rewards.projections.activity import (
    BandwidthRewards,
    ListeningRewards,
    Referrals,
    SharingRewards,
    SkipRecords,
    Votes,
)
from rewards.projections.claims import RewardClaims
from rewards.projections.holds import Holds
from rewards.projections.pools import PoolStatus
from rewards.projections.totals import RewardTotals
from service import WalletOwners

ALL = (
    RewardClaims(),
    ListeningRewards(),
    SharingRewards(),
    BandwidthRewards(),
    Votes(),
    SkipRecords(),
    Referrals(),
    RewardTotals(),
    Holds(),
    PoolStatus(),
    WalletOwners(),
)

__all__ = [
    "ALL",
    "BandwidthRewards",
    "Holds",
    "ListeningRewards",
    "PoolStatus",
    "Referrals",
    "RewardClaims",
    "RewardTotals",
    "SharingRewards",
    "SkipRecords",
    "Votes",
    "WalletOwners",
]
