"""Rewards that are proven: zero-knowledge claims of listening, and batches under a Merkle root."""

from zk.batch import Batch, Entry
from zk.claims import CIRCUIT, Claim, Commitment, Period, Proof, Reason, Record, Refused, Secret, scope
from zk.prover import Prover
from zk.verifier import Verifier

__all__ = [
    "CIRCUIT",
    "Batch",
    "Claim",
    "Commitment",
    "Entry",
    "Period",
    "Proof",
    "Prover",
    "Reason",
    "Record",
    "Refused",
    "Secret",
    "Verifier",
    "scope",
]
