"""Is a log of chain events complete? The work is in the `audit` module of the service that reads the chain."""

from __future__ import annotations

import json
from typing import Any

from rich.console import Console

from annals.bars import counting
from annals.services import Installed, find

SERVICE = "chain"


async def audit(first: int, last: int | None, against: str | None, console: Console) -> Any:
    """Compares the chain service's log with a second source; its `Outcome` has a certificate or the first problem.

    Raises UnknownName without the service, LookupError for blocks that the log does not cover or an unknown provider.
    """
    service = find(SERVICE)
    async with service.log() as log:
        with counting(console, service.name, "blocks") as on_progress:
            return await service.part("audit").audit(
                log,
                service.settings(),
                first,
                last,
                against,
                on_progress,
            )


async def check(text: str) -> Any:
    """Holds a certificate against the log that it was made for. Raises LookupError for what is no certificate."""
    service = _certified(text)
    auditor = service.part("audit")
    async with service.log() as log:
        return await auditor.check(log, auditor.Certificate.from_json(text))


def _certified(text: str) -> Installed:
    try:
        return find(str(json.loads(text)["service"]))
    except (ValueError, TypeError, KeyError):
        raise LookupError("no certificate: expected a JSON object that names its service") from None
