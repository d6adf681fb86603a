"""What the demo shows at the end: figures, a statement with its provenance, pools, acceptances."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from annals.amounts import trx
from annals.demo.theatre import Theatre
from annals.directory import Directory
from annals.terminal import plain_table

STATEMENT_LINES = 8


async def figures(theatre: Theatre, *, sending_seconds: float, behind_seconds: float) -> str:
    """One sentence: how much, how fast, how far behind."""
    chain = theatre.databases["chain"]
    first, last = await chain.fetchrow("SELECT min(recorded_at), max(recorded_at) FROM events WHERE type <> 'none'")
    positions = {name: await pool.fetchval("SELECT count(*) FROM events") for name, pool in theatre.databases.items()}
    total = sum(positions.values())
    seconds = max((last - first).total_seconds(), 0.001)
    contract_events = theatre.truth.events.total()
    return (
        f"{theatre.stage.sent:,} transactions and {contract_events:,} contract events of {len(theatre.truth.events)} "
        f"types became {total:,} events in {len(positions)} logs: {total / (seconds + behind_seconds):,.0f} events/s "
        f"from chain to read model while the load ran ({sending_seconds:.0f} s), all settled "
        f"{behind_seconds:.1f} s after the last transaction (solidification takes 18 blocks)"
    )


async def results(theatre: Theatre) -> None:
    """What the services answer over HTTP."""
    await _statement(theatre)
    await _pools(theatre)
    await _acceptances(theatre)


async def _statement(theatre: Theatre) -> None:
    artist = theatre.stage.cast.artists[1].address
    async with theatre.client("royalties") as client:
        answer = await client.get(f"/parties/{artist}/statement", params={"limit": STATEMENT_LINES})
    answer.raise_for_status()
    statement = answer.json()
    table = _table(f"Statement of {artist}", "kind", "track", "amount (TRX)", "split", "block", "log", "transaction")
    for line in _lines(statement)[:STATEMENT_LINES]:
        table.add_row(
            line["kind"],
            str(line.get("track_id") or ""),
            trx(int(line["amount"])),
            str(line.get("split_version") if line.get("split_version") is not None else ""),
            str(line["block_number"]),
            str(line["log_index"]),
            line["tx_id"][:16] + "…",
        )
    theatre.console.print(table)


def _lines(statement: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = statement["lines"]
    return found


async def _pools(theatre: Theatre) -> None:
    async with theatre.client("rewards") as client:
        answer = await client.get("/pools")
    answer.raise_for_status()
    table = _table("Reward pools (DCMX)", "pool", "funded", "paid", "claims", "balance", "daily limit")
    for pool in answer.json():
        amounts = [f"{int(pool[name]) / 10**18:,.0f}" for name in ("funded", "paid")]
        limits = [f"{int(pool[name]) / 10**18:,.0f}" for name in ("balance", "daily_limit")]
        table.add_row(pool["pool"], *amounts, f"{pool['claims']:,}", *limits)
    theatre.console.print(table)


async def _acceptances(theatre: Theatre) -> None:
    rows = await theatre.databases["compliance"].fetch(
        """SELECT document_type, version, count(*) AS accepted
           FROM acceptance_records_v1.acceptance_records GROUP BY 1, 2 ORDER BY 1, 2"""
    )
    table = _table("Accepted documents", "document", "version", "accepted by")
    for row in rows:
        table.add_row(str(row["document_type"]), str(row["version"]), f"{row['accepted']:,}")
    theatre.console.print(table)


def anchors(theatre: Theatre) -> None:
    """How often the chain itself has come to vouch for the logs."""
    count = theatre.truth.events["ComplianceRegistry.RootAnchored"]
    theatre.console.print(f"[green]✔[/] {count} seals of the logs are anchored on the chain", highlight=False)


def what_next(console: Console, keep: bool, directory: Directory) -> None:
    """The last lines: what to try."""
    console.print("\n[bold]Try next[/]")
    if keep:
        for name, url in directory.urls.items():
            console.print(f"  {name:<11} {url}/docs", highlight=False)
        console.print("  annals status --stack demo · annals audit rewards --stack demo", highlight=False)
        console.print("  annals token demo --role admin --stack demo", highlight=False)
        return
    console.print("  make demo KEEP=1     leaves it running and prints the addresses", highlight=False)
    console.print("  annals up            a stack of your own; then annals status", highlight=False)
    console.print("  services/rewards     the service to read first", highlight=False)


def _table(title: str, *columns: str) -> Table:
    table = plain_table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right", no_wrap=number == 0)
    return table
