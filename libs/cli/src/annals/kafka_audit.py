"""Is Kafka, read committed, what the logs say? The work is `messaging.audit`; here it gets a service's parts."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table

from annals.bars import steps
from annals.services import Installed
from annals.terminal import plain_table
from eventlog import Watermark
from messaging import TopicReport, audit
from messaging.audit import FAULTS


async def inspect(services: Iterable[Installed], console: Console | None = None) -> list[TopicReport]:
    """Compares all topics of services with their logs as these are now; waits a minute for the relays to get there."""
    reports: list[TopicReport] = []
    for service in services:
        kafka = service.settings().kafka_options()
        async with service.log() as log:
            with steps(console, f"{service.name}: log and topics") as on_progress:
                reports += await audit(
                    log,
                    Watermark(log.pool),
                    kafka,
                    service.name,
                    service.publish,
                    service.topics,
                    on_progress=on_progress,
                )
    return reports


def table(reports: Iterable[TopicReport]) -> Table:
    """One line per topic, and the first faults of each below it."""
    result = plain_table()
    result.add_column("topic", overflow="fold")
    for column in ("events", *(name.replace("_", " ") for name in FAULTS)):
        result.add_column(column, justify="right")
    for report in reports:
        numbers = (f"{getattr(report, name):,}" for name in FAULTS)
        result.add_row(report.topic, f"{report.events:,}", *numbers, style=None if report.ok else "red")
        for example in report.examples:
            result.add_row(f"  {example}", style="red")
    return result
