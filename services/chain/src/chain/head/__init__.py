"""The provisional stream `chain.head`: the newest blocks within a second, taken back when the chain reorganises.

branch.py: what a node shows, held against what we have told. log.py: the head log, a table of its own. follow.py: the
worker that brings the two together. The topic's messages and their replay are in `contracts.head`.
"""

from chain.head.follow import HeadFollower
from chain.head.log import HeadLog, install_sql

__all__ = ["HeadFollower", "HeadLog", "install_sql"]
