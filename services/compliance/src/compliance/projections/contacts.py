"""How people are reached. The rows hold what the log holds: boxes, which the API opens."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa

from compliance.domain import ContactGiven
from compliance.projections.common import Time, metadata
from eventlog import RecordedEvent
from privacy import SubjectErased
from projections import Projection, Rows, on

contacts = sa.Table(
    "contacts",
    metadata,
    sa.Column("subject", sa.Text, primary_key=True),
    sa.Column("box", sa.Text),  # empty once the subject is erased
    sa.Column("given_at", Time, nullable=False),
)


class Contacts(Projection):
    """How each person is reached, sealed."""

    name = "contacts"
    tables = (contacts,)
    personal = {contacts: "subject"}  # noqa: RUF012 - a ClassVar of the base

    def key(self, recorded: RecordedEvent) -> str:
        return str(recorded.event.subject)

    def prefetch(self, recorded: RecordedEvent) -> Iterable[tuple[sa.Table, Mapping[str, Any]]]:
        return [(contacts, {"subject": recorded.event.subject})]

    @on(ContactGiven)
    def given(self, event: ContactGiven, recorded: RecordedEvent, rows: Rows) -> None:
        rows.upsert(contacts, {"subject": event.subject}, box=event.details.box, given_at=recorded.occurred_at)

    @on(SubjectErased)
    def erased(self, event: SubjectErased, recorded: RecordedEvent, rows: Rows) -> None:
        if rows.get(contacts, {"subject": event.subject}) is not None:
            rows.update(contacts, {"subject": event.subject}, box=None)
