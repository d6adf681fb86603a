"""Do the contracts hold what the books say? And what would a period have come to under other terms?

The work is in the modules `reconciliation` and `what_if` of the service that keeps the books.
"""

from __future__ import annotations

import os
from dataclasses import asdict
from datetime import datetime
from typing import Any

from rich.table import Table

from annals.amounts import decimal, trx
from annals.bars import counting
from annals.errors import UnknownName
from annals.services import find
from annals.terminal import Terminal, plain_table

SERVICE = "royalties"
MOST_ENTRIES = 10


async def reconcile(node_url: str | None, console: Terminal) -> Any:
    """Compares the books with the contracts at a node: the one given, else the service's, else the chain service's.

    Raises UnknownName without the service or a node, LookupError for what can't be compared (yet).
    """
    service = find(SERVICE)
    settings: Any = service.settings()
    url = node_url or settings.node_url or os.environ.get("CHAIN_NODE_URL")
    if url is None:
        raise UnknownName("--node: expected the address of a TRON node, for ROYALTIES_NODE_URL names none")
    worker = service.part("reconciliation.worker")
    async with service.log() as log, worker.node_of(settings, url) as node:
        with counting(console, SERVICE, "accounts") as on_progress:
            return await service.part("reconciliation").reconcile(
                log,
                node,
                worker.chain_time(log.pool, settings).reached,
                on_progress=on_progress,
            )


def to_dict(outcome: Any) -> dict[str, Any]:
    """All of it; amounts in sun, as strings."""
    return {
        "ok": outcome.ok,
        "first_block": outcome.first_block,
        "last_block": outcome.last_block,
        "accounts": outcome.accounts,
        "held_sun": str(outcome.held_sun),
        "fees_of_nobody_sun": str(outcome.fees_of_nobody_sun),
        "differences": [
            {
                "account": one.compared.account,
                "block": one.compared.block_number,
                "booked_sun": str(one.compared.booked_sun),
                "held_sun": str(one.compared.held_sun),
                "agreed_block": one.agreed_block,
                "entries": [asdict(entry) | {"amount_sun": str(entry.amount_sun)} for entry in one.entries],
            }
            for one in outcome.differences
        ],
    }


def told(outcome: Any) -> str:
    """In a sentence, with what could not be compared."""
    blocks = f"block {outcome.first_block:,}"
    if outcome.last_block > outcome.first_block:
        blocks = f"blocks {outcome.first_block:,} to {outcome.last_block:,}"
    text = f"{outcome.accounts:,} accounts as of {blocks}; the contracts hold {trx(outcome.held_sun)} TRX"
    if outcome.fees_of_nobody_sun:
        text += f"; not compared: {trx(outcome.fees_of_nobody_sun)} TRX of fees, for nothing told who gets them"
    found = len(outcome.differences)
    return f"{text}: {f'{found:,} of them differ' if found else 'the books say the same, to the sun'}"


def tables(outcome: Any) -> list[Table]:
    """Each account that differs, with what the books know of it since both were the same; the latest last."""
    found = []
    for one in outcome.differences:
        same = "never seen the same" if one.agreed_block is None else f"the same as of block {one.agreed_block:,}"
        compared = one.compared
        table = plain_table(title_justify="left", title_style="bold")
        table.title = (
            f"{compared.account}: booked {trx(compared.booked_sun)}, held {trx(compared.held_sun)} TRX "
            f"({trx(compared.surplus_sun)}); {same}"
        )
        for column in ("block", "log", "transaction", "event", "TRX"):
            table.add_column(column, justify="right" if column in ("block", "log", "TRX") else "left")
        for entry in one.entries[-MOST_ENTRIES:]:
            place = (f"{entry.block_number:,}", str(entry.log_index), entry.tx_id)
            table.add_row(*place, entry.event, trx(entry.amount_sun))
        found.append(table)
    return found


async def what_if(
    shares: str | None, fee_bps: int | None, since: datetime, until: datetime, track: int | None, console: Terminal
) -> Any:
    """Replays a period under other terms. Raises UnknownName without the service, LookupError for no split."""
    service = find(SERVICE)
    module = service.part("what_if")
    terms = module.Terms(fee_bps, module.read_shares(shares) if shares is not None else None)
    async with service.log() as log:
        with counting(console, SERVICE, "replay") as told:
            return await module.what_if(log, terms, since, until, track, told)


def changes(outcome: Any) -> dict[str, Any]:
    """All of it, also what stays the same; amounts in the assets' smallest units, as strings."""
    return {
        "since": outcome.since,
        "until": outcome.until,
        "payments": outcome.payments,
        "events": outcome.events,
        "seconds": round(outcome.seconds, 3),
        "lines": [
            {
                "asset": line.asset,
                "scale": outcome.scales[line.asset],
                "of": line.of,
                "party": line.party,
                "before": str(change.before),
                "after": str(change.after),
                "change": str(change.change),
            }
            for line, change in sorted(outcome.lines.items())
        ],
    }


def table_of(outcome: Any, limit: int) -> Table:
    """Whose money changes most, by track or agreement."""
    table = plain_table()
    for name in ("party", "of", "asset", "before", "after", "change"):
        table.add_column(name, justify="right" if name in ("before", "after", "change") else "left")
    changed = [(line, change) for line, change in outcome.lines.items() if change.change]
    changed.sort(key=lambda one: (-abs(one[1].change), one[0]))
    for line, change in changed[:limit]:
        scale = outcome.scales[line.asset]
        amounts = (decimal(amount, scale) for amount in (change.before, change.after, change.change))
        table.add_row(line.party, line.of, line.asset, *amounts)
    return table
