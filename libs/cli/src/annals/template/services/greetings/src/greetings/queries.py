"""The queries on the read models: plain SQLAlchemy, one statement each."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from greetings.projections import Welcomes, welcomes


def welcome_of(subject: str) -> sa.Select[Any]:
    table = Welcomes.live(welcomes)
    return sa.select(table).where(table.c.subject == subject)
