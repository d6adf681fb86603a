"""Acts of callers, told on `audit.events` from the log itself: an event whose metadata name an actor is one.

No service writes audit code: who, when and why are the event's metadata, before and after are the leaves by which the
log's seals cover the stream's events.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from uuid import uuid5

import asyncpg

from contracts.audit import Acted
from eventlog import RecordedEvent, RequestRefused
from eventlog.leaves import COLUMNS, SealedEvent, digest
from messaging.topics import TopicSpec

TOPIC = TopicSpec(Acted.topic)

_REFUSED = RequestRefused.__name__
_WITH_ACTOR = '"actor"'
_BEFORE = f"""SELECT {COLUMNS} FROM events
              WHERE (stream, version) IN (SELECT * FROM unnest($1::text[], $2::bigint[]))"""  # noqa: S608 - constant columns


async def acts(pool: asyncpg.Pool, service: str, events: Sequence[RecordedEvent]) -> list[tuple[RecordedEvent, Acted]]:
    """The acts among some events of a log, each with the envelope under which it is told.

    The act has an id of its own, which follows from the event's: it is another message than what the event may lead
    to on other topics.
    """
    # Most events have no actor, and need not be parsed to know it.
    done = [event for event in events if _WITH_ACTOR in event.metadata_json and event.metadata.actor is not None]
    before = [(event.stream, event.version - 1) for event in done if event.version > 1]
    rows = await pool.fetch(_BEFORE, *zip(*before, strict=True)) if before else []
    digests = {(row["stream"], row["version"]): SealedEvent(*row).leaf() for row in rows}
    return [
        (
            replace(event, event_id=uuid5(event.event_id, Acted.type)),
            _acted(service, event, digests.get((event.stream, event.version - 1))),
        )
        for event in done
    ]


def _acted(service: str, event: RecordedEvent, previous: bytes | None) -> Acted:
    metadata = event.metadata
    return Acted.model_validate(
        {
            "service": service,
            "event_id": event.event_id,
            "position": event.position,
            "stream": event.stream,
            "version": event.version,
            "action": event.type,
            "actor": metadata.actor,
            "role": metadata.role,
            "causation_id": metadata.causation_id,
            "at": event.occurred_at,
            "digest": digest(event).hex(),
            "previous": None if previous is None else previous.hex(),
            "refused": event.event.reason if event.type == _REFUSED else None,
        }
    )
