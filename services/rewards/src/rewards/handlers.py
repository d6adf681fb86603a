"""The border: what others say becomes commands of our own, each with the stream it concerns."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from contracts import chain
from eventlog import Intent, Metadata
from messaging import Received
from rewards import domain

TOPICS = ("chain.reward-vault",)


def translate(received: Received) -> Sequence[Intent]:
    """What a message of the chain means to us; nothing, for messages that don't concern rewards."""
    match received.message:
        case chain.PoolFunded() as funded:
            fact: domain.PoolEvent = domain.PoolFunded(funded.pool, funded.funder, funded.amount, funded.source)
            return [_of_pool(fact)]
        case chain.PoolConfigured() as configured:
            fact = domain.PoolConfigured(configured.pool, configured.daily_limit, configured.active, configured.source)
            return [_of_pool(fact)]
        case chain.PoolSwept() as swept:
            return [_of_pool(domain.PoolSwept(swept.pool, swept.to, swept.amount, swept.source))]
        case chain.RewardClaimed() as claimed:
            paid = domain.ClaimPaid(
                claimed.claim_id, claimed.pool, claimed.claimant, claimed.amount, claimed.day, claimed.source
            )
            return [Intent(f"claim/{claimed.claim_id}", domain.claim, paid, claimed.occurred_at)]
        case _:
            return []


def listen(command: domain.RecordListen, metadata: Metadata) -> Intent:
    """A reported listen, for the stream of its user."""
    return Intent(f"listening/{command.user}", domain.listening, command, command.ended_at, metadata)


def vote(command: domain.CastVote, at: datetime, metadata: Metadata) -> Intent:
    """A vote, for the stream of its user and track."""
    return Intent(f"vote/{command.track_id}/{command.user}", domain.vote, command, at, metadata)


def _of_pool(fact: domain.PoolEvent) -> Intent:
    return Intent(f"pool/{fact.pool.name.lower()}", domain.pool, fact, fact.source.block_time)
