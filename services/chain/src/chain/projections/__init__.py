"""The read models of chain, a module for each kind. Every table can be dropped and rebuilt from the log."""

from chain.progress import Operations
from chain.projections.activity import Activity
from chain.projections.balances import TokenBalances, TrxBalances
from chain.projections.contract_state import ContractState
from chain.projections.events import BlockchainEvents, UndecodedLogs
from chain.projections.ingestion import Ingestion
from chain.projections.nfts import NftOwners, Tracks
from chain.projections.transactions import TransactionIndex

ALL = (
    BlockchainEvents(),
    UndecodedLogs(),
    TransactionIndex(),
    TrxBalances(),
    TokenBalances(),
    NftOwners(),
    Tracks(),
    ContractState(),
    Activity(),
    Ingestion(),
    Operations(),
)

__all__ = [
    "ALL",
    "Activity",
    "BlockchainEvents",
    "ContractState",
    "Ingestion",
    "NftOwners",
    "Operations",
    "TokenBalances",
    "Tracks",
    "TransactionIndex",
    "TrxBalances",
    "UndecodedLogs",
]
