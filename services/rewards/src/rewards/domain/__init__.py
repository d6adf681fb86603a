"""What the rewards service knows and decides; pure: no clock, no ids, no I/O. A module for each thing.

Amounts are in 10^-18 DCMX. Users are opaque subject ids or public wallet addresses.
"""

from rewards.domain.balance import Balance, RewardsReleased, RewardsReserved, RewardsSettled
from rewards.domain.claims import ClaimPaid, ConflictingClaim, claim
from rewards.domain.listening import (
    LISTENING_RULE,
    Listening,
    ListeningRule,
    ListenNotRewarded,
    ListenRewarded,
    RecordListen,
    listening,
)
from rewards.domain.pools import PoolConfigured, PoolEvent, PoolFunded, PoolSwept, pool
from rewards.domain.votes import CastVote, VoteCast, vote

EVENTS: dict[str, type] = {
    "PoolFunded.v1": PoolFunded,
    "PoolConfigured.v1": PoolConfigured,
    "PoolSwept.v1": PoolSwept,
    "ClaimPaid.v1": ClaimPaid,
    "ListenRewarded.v1": ListenRewarded,
    "ListenNotRewarded.v1": ListenNotRewarded,
    "RewardsReserved.v1": RewardsReserved,
    "RewardsReleased.v1": RewardsReleased,
    "RewardsSettled.v1": RewardsSettled,
    "VoteCast.v1": VoteCast,
}

__all__ = [
    "EVENTS",
    "LISTENING_RULE",
    "Balance",
    "CastVote",
    "ClaimPaid",
    "ConflictingClaim",
    "ListenNotRewarded",
    "ListenRewarded",
    "Listening",
    "ListeningRule",
    "PoolConfigured",
    "PoolEvent",
    "PoolFunded",
    "PoolSwept",
    "RecordListen",
    "RewardsReleased",
    "RewardsReserved",
    "RewardsSettled",
    "VoteCast",
    "claim",
    "listening",
    "pool",
    "vote",
]
