"""From messages to events of one's own: translate at the border, decide, append."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import asyncpg

from eventlog import DuplicateEvent, Executor, Intent, Metadata
from messaging.errors import MissingPrerequisite
from messaging.handling import Committed, Handle
from messaging.received import Received


def inbox(translate: Callable[[Received], Sequence[Intent]], executor: Executor) -> Handle:
    """Returns a handler that turns a batch of messages into one execution, one append.

    `translate` maps a message to what is to be done about it; it is pure and may return nothing. Where it raises
    MissingPrerequisite, that message waits and the others go on. What its intents leave open is filled in from the
    message: the key (so that the events' ids derive from the message's identity), the causation id and the trace.
    So a message that was published twice takes effect once.
    """

    async def handle(batch: Sequence[Received], connection: asyncpg.Connection) -> Committed | None:
        intents: list[Intent] = []
        missing: list[MissingPrerequisite] = []
        for received in batch:
            try:
                intents += [_caused(intent, received, number) for number, intent in enumerate(translate(received))]
            except MissingPrerequisite as error:
                missing.append(MissingPrerequisite(str(error), received))
        if missing:
            raise ExceptionGroup("prerequisites have not arrived", missing)
        if not intents:
            return None
        if len(batch) > 1:  # one that comes again will fail it, and then stand alone
            return (await executor.execute(intents, connection)).committed
        try:
            async with connection.transaction():
                return (await executor.execute(intents, connection)).committed
        except DuplicateEvent:
            if not await executor.executed(intents, connection):
                raise
            return None

    return handle


def _caused(intent: Intent, received: Received, number: int) -> Intent:
    # CloudEvents: source and id together are unique.
    key = intent.key if intent.key is not None else f"{received.source}#{received.id}/{number}"
    given = intent.metadata
    metadata = Metadata(
        causation_id=given.causation_id or received.id,
        correlation_id=given.correlation_id or received.id,
        traceparent=given.traceparent or received.traceparent,
        actor=given.actor,
    )
    return Intent(intent.stream, intent.decider, intent.command, intent.occurred_at, metadata, key)
