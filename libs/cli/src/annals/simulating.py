"""What other rules would have come to. The work is in the `simulation` module of the service."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from rich.table import Table

from annals.amounts import dcmx
from annals.bars import counting
from annals.services import find
from annals.terminal import Terminal, plain_table

SERVICE = "rewards"


async def simulate(rules: str, since: datetime, until: datetime, console: Terminal) -> Any:
    """Replays a period under other rules. Raises UnknownName without the service, LookupError for what cannot be."""
    service = find(SERVICE)
    async with service.log() as log:
        with counting(console, "rewards", "replay") as told:
            return await service.part("simulation").simulate(log, rules, since, until, told)


def to_dict(found: Any) -> dict[str, Any]:
    """All of it; amounts in 10^-18 DCMX, as strings."""
    users = ({"user": user, "pool": pool, **_granted(granted)} for (user, pool), granted in found.users.items())
    return {
        "since": found.since,
        "until": found.until,
        "activities": found.activities,
        "events": found.events,
        "seconds": round(found.seconds, 3),
        "pools": {pool: _granted(granted) for pool, granted in sorted(found.pools.items())},
        "users": [user for user in users if user["change"] != "0"],
        "reasons": [
            {"pool": pool, "before": before, "after": after, "activities": count}
            for (pool, before, after), count in sorted(found.reasons.items())
        ],
    }


def _granted(granted: Any) -> dict[str, Any]:
    return {
        "before": str(granted.before),
        "after": str(granted.after),
        "change": str(granted.change),
        "held_before": str(granted.held_before),
        "held_after": str(granted.held_after),
        "rewards_before": granted.rewards_before,
        "rewards_after": granted.rewards_after,
    }


def tables(found: Any, limit: int) -> list[Table]:
    """The pools, the users whose rewards change most, and which reasons change into which."""
    changed = [(key, granted) for key, granted in found.users.items() if granted.change]
    changed.sort(key=lambda one: (-abs(one[1].change), one[0]))
    users = _table("user", "pool", "before", "after", "change")
    for (user, pool), granted in changed[:limit]:
        users.add_row(user, pool, *_amounts(granted))
    pools = _table("pool", "rewards before", "rewards after", "before", "after", "change")
    for pool, granted in sorted(found.pools.items()):
        pools.add_row(pool, f"{granted.rewards_before:,}", f"{granted.rewards_after:,}", *_amounts(granted))
    reasons = _table("pool", "was", "would be", "activities")
    for (pool, before, after), count in sorted(found.reasons.items()):
        reasons.add_row(pool, before, after, f"{count:,}")
    return [table for table in (pools, users, reasons) if table.row_count]


def _amounts(granted: Any) -> tuple[str, str, str]:
    change = dcmx(granted.change)
    return dcmx(granted.before), dcmx(granted.after), change if granted.change <= 0 else f"+{change}"


def _table(*columns: str) -> Table:
    table = plain_table()
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 or column in ("pool", "would be", "was") else "right")
    return table
