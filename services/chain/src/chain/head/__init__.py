"""The provisional stream `chain.head`: the newest blocks within a second, taken back when the chain reorganises.

branch.py: what there is beyond what we have told, as a node shows it or the ingester hands it over. log.py: the head
log, a table of its own. follow.py: the worker that brings the two together. restore.py: the log read back from its
topic. The topic's messages and their replay are in `contracts.head`.
"""

from chain.head.follow import HeadFollower
from chain.head.log import HeadLog, install_sql
from chain.head.restore import read_back

__all__ = ["HeadFollower", "HeadLog", "install_sql", "read_back"]
