"""Which events a subscription is about, in SQL: the same words in its query and in the index that serves it."""

from __future__ import annotations

import re
from collections.abc import Iterable

_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")


def where(types: Iterable[str] | None = None, streams: str | None = None) -> str:
    """A condition for events of these types, of streams whose names begin so, or both; `true` for all.

    The values stand in the text, because a partial index serves a query only if its predicate can be proved from it.
    """
    conditions = []
    if types is not None:
        names = ", ".join(_literal(name) for name in sorted(set(types)))
        conditions.append(f"type IN ({names})" if names else "false")
    if streams:
        conditions.append(f"starts_with(stream, {_literal(streams)})")
    return " AND ".join(conditions) or "true"


def share_sql(stream: str, count: str) -> str:
    """The SQL expression for the index of the share, of `count` (SQL too), that a stream belongs to; see `Share`."""
    return f"(hashtextextended({stream}, 0) & 2147483647) % {count}"


def index_sql(name: str, *, types: Iterable[str] | None = None, streams: str | None = None) -> str:
    """The SQL of an index for subscriptions to rare events: these types, streams whose names begin so, or both.

    For a migration of the service. It holds only the events selected, so appending others costs nothing more. It
    serves `EventLog.read` with the same prefix and with all or some of the types. Worth it below some percents of the
    log; above, reading the log by position and leaving out the others is as fast.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"index name {name!r}: expected lower-case letters, digits and underscores, at most 63")
    if (selected := where(types, streams)) in ("true", "false"):
        raise ValueError(f"index {name}: expected types or a prefix of streams; all events have an index already")
    return f"CREATE INDEX {name} ON events (position) WHERE {selected}"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
