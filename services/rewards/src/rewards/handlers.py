"""The border: what others say becomes commands of our own, each with the stream it concerns."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import asyncpg

from contracts import chain, operations
from contracts.activity import ReportActivity
from eventlog import Executor, Intent, Metadata
from messaging import Committed, Handle, Received, TopicSpec, inbox, orders, wallets
from rewards import claiming, domain, reports
from rewards.domain.rules import book_of, rules_stream
from rewards.domain.standing import standing_stream
from rewards.metrics import FAILED_OPENINGS
from rewards.periods import opened_by, period_stream
from rewards.recorder import Recorder

COMMANDS = TopicSpec("rewards.commands")
"""Keyed by the user: one user's activities keep their order, so that a limit counts them as they came."""
TOPICS = ("chain.operations", "chain.reward-vault", COMMANDS.name, orders.ORDERS.name, wallets.TOPIC.name)


def handle_messages(executor: Executor, recorder: Recorder, origins: reports.Origins) -> Handle:
    """The handler of the consumer: activities of a batch are decided together, other messages by the inbox."""
    others = inbox(translate, executor)

    async def handle(batch: Sequence[Received], connection: asyncpg.Connection) -> Committed | None:
        reported = [one for received in batch if (one := await reports.commanded(received, origins)) is not None]
        rest = [received for received in batch if not isinstance(received.message, ReportActivity)]
        after: list[Committed] = []
        if reported:
            after.append((await recorder.record(reported, connection)).committed)
        if rest and (committed := await others(rest, connection)) is not None:
            after.append(committed)

        def committed_all() -> None:
            for one in after:
                one()
            FAILED_OPENINGS.inc(sum(_is_failed_opening(received) for received in rest))

        return committed_all if after else None

    return handle


def _is_failed_opening(received: Received) -> bool:
    match received.message:
        case operations.OperationFailed(operation_id=operation) | operations.OperationExpired(operation_id=operation):
            return opened_by(operation) is not None
        case _:
            return False


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
        case chain.BatchOpened() as batch:
            return [_of_pool(domain.BatchOpened(batch.pool, batch.batch, batch.total, batch.source))]
        case chain.BatchSwept() as rest:
            return [_of_pool(domain.BatchSwept(rest.pool, rest.batch, rest.amount, rest.source))]
        case chain.RewardClaimed() as claimed:
            paid = domain.ClaimPaid(
                claimed.claim_id, claimed.pool, claimed.claimant, claimed.amount, claimed.day, claimed.source
            )
            return [_of_claim(paid, claimed.occurred_at)]
        case chain.PeriodOpened() as opened:
            terms = domain.Terms(opened.threshold, opened.amount, opened.deadline)
            return [_of_period(domain.PeriodOpened(opened.period, f"{opened.commitment:064x}", terms), opened.source)]
        case chain.PeriodClosed() as closed:
            return [_of_period(domain.PeriodClosed(closed.period), closed.source)]
        case operations.OperationSolidified() as done:
            claim_id, attempt = claiming.claim_of(done.operation_id)
            return [_of_claim(domain.PaymentDone(claim_id, done.tx_id, done.block_number, attempt), received.time)]
        case operations.OperationFailed() as failed:
            return [_failed(failed, failed.kind, received.time)]
        case operations.OperationExpired() as lapsed:
            return [_failed(lapsed, "expired", received.time)]
        case _:
            return [*orders.ordered(received), *wallets.told(received)]


def review(command: domain.ReviewReward | domain.CorrectReward, at: datetime, metadata: Metadata) -> Intent:
    """An officer's decision about a reward, for the account that has it."""
    return Intent(command.recorded.activity.stream, domain.review, command, at, metadata)


def publish_rules(command: domain.PublishRules, metadata: Metadata) -> Intent:
    return Intent(rules_stream(command.kind), book_of(command.kind), command, command.at, metadata)


def report_standing(
    command: domain.StandingReported | domain.ClientKeyRegistered, at: datetime, metadata: Metadata
) -> Intent:
    return Intent(standing_stream(command.user), domain.standing, command, at, metadata)


def _of_claim(fact: domain.ClaimPaid | domain.PaymentDone | domain.PaymentFailed, at: datetime | None) -> Intent:
    """An operation of another service is no claim of ours: then nothing comes of it."""
    return Intent(claiming.claim_stream(fact.claim_id), domain.claim, fact, at or datetime.now(UTC))


def _failed(told: operations.OperationFailed | operations.OperationExpired, kind: str, at: datetime | None) -> Intent:
    if (opened := opened_by(told.operation_id)) is not None:
        period, attempt = opened
        failed = domain.OpeningFailed(period, kind, told.reason, told.tx_id, attempt)
        return Intent(period_stream(period), domain.period, failed, at or datetime.now(UTC))
    claim_id, attempt = claiming.claim_of(told.operation_id)
    return _of_claim(domain.PaymentFailed(claim_id, kind, told.reason, told.tx_id, attempt), at)


def _of_period(fact: domain.PeriodOpened | domain.PeriodClosed, source: chain.Source) -> Intent:
    return Intent(period_stream(fact.period), domain.period, fact, source.block_time)


def _of_pool(fact: domain.PoolEvent) -> Intent:
    return Intent(f"pool/{fact.pool.label}", domain.pool, fact, fact.source.block_time)
