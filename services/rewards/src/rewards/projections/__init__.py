"""The read models of rewards, a module for each kind. Every table can be dropped and rebuilt from the log."""

from rewards.projections.claims import RewardClaims
from rewards.projections.listening import ListeningRewards
from rewards.projections.pools import PoolStatus
from rewards.projections.totals import RewardTotals
from rewards.projections.votes import Votes

ALL = (RewardClaims(), ListeningRewards(), RewardTotals(), PoolStatus(), Votes())

__all__ = ["ALL", "ListeningRewards", "PoolStatus", "RewardClaims", "RewardTotals", "Votes"]
