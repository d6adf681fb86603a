"""How subjects are reached."""

from __future__ import annotations

import sqlalchemy as sa

from compliance.projections import Contacts
from compliance.projections.contacts import contacts
from compliance.queries.common import Query


def contact(subject: str) -> Query:
    table = Contacts.live(contacts)
    return sa.select(table).where(table.c.subject == subject)
