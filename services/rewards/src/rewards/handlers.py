"""The border: what others say becomes commands of our own, each with the stream it concerns."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import asyncpg

from contracts import chain
from contracts.activity import ReportActivity
from eventlog import Executor, Intent, Metadata
from messaging import Committed, Handle, Received, TopicSpec, inbox
from rewards import domain, reports
from rewards.domain.rules import book_of, rules_stream
from rewards.domain.standing import standing_stream
from rewards.recorder import Recorder

COMMANDS = TopicSpec("rewards.commands")
"""Keyed by the user: one user's activities keep their order, so that a limit counts them as they came."""
TOPICS = ("chain.reward-vault", COMMANDS.name)


def handle_messages(executor: Executor, recorder: Recorder) -> Handle:
    """The handler of the consumer: activities of a batch are decided together, other messages by the inbox."""
    others = inbox(translate, executor)

    async def handle(batch: Sequence[Received], connection: asyncpg.Connection) -> Committed | None:
        reported = [one for received in batch if (one := reports.commanded(received)) is not None]
        rest = [received for received in batch if not isinstance(received.message, ReportActivity)]
        after: list[Committed] = []
        if reported:
            after.append((await recorder.record(reported, connection)).committed)
        if rest and (committed := await others(rest, connection)) is not None:
            after.append(committed)

        def committed_all() -> None:
            for one in after:
                one()

        return committed_all if after else None

    return handle


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


def review(command: domain.ReviewReward | domain.CorrectReward, at: datetime, metadata: Metadata) -> Intent:
    """An officer's decision about a reward, for the account that has it."""
    return Intent(command.recorded.activity.stream, domain.review, command, at, metadata)


def publish_rules(command: domain.PublishRules, metadata: Metadata) -> Intent:
    return Intent(rules_stream(command.kind), book_of(command.kind), command, command.at, metadata)


def report_standing(
    command: domain.StandingReported | domain.ClientKeyRegistered, at: datetime, metadata: Metadata
) -> Intent:
    return Intent(standing_stream(command.user), domain.standing, command, at, metadata)


def _of_pool(fact: domain.PoolEvent) -> Intent:
    return Intent(f"pool/{fact.pool.name.lower()}", domain.pool, fact, fact.source.block_time)
