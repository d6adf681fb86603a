"""Whether all is well: what each service needs, asked from here, and what its process says of itself.

From here: PostgreSQL with its migrations, roles and keys, Kafka with the topics, nodes of the chain, read models. The
process may see other servers than we do, or not run; so both are asked, at the same time, each for a few seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from annals.services import Installed, chosen
from annals.status import ask
from service.health import Check, CheckResult, run_check


@dataclass(frozen=True, slots=True)
class ServiceHealth:
    """One service."""

    name: str
    from_here: dict[str, CheckResult]
    """What it needs; and `process`, whether it answers, is ready, and its workers run."""
    by_itself: dict[str, CheckResult]
    """What its process has found; empty when it doesn't answer."""

    @property
    def ok(self) -> bool:
        return not self.problems

    @property
    def problems(self) -> list[str]:
        """A sentence for each check that failed."""
        asked = {"": self.from_here, "the process says: ": self.by_itself}
        return [
            f"{who}{name}: {result.detail}"
            for who, results in asked.items()
            for name, result in results.items()
            if not result.ok
        ]

    def to_dict(self) -> dict[str, Any]:
        found = {"from_here": self.from_here, "by_itself": self.by_itself}
        plain = {who: {name: result.model_dump() for name, result in each.items()} for who, each in found.items()}
        return {"name": self.name, "ok": self.ok, **plain}


async def examine(names: Sequence[str] = ()) -> list[ServiceHealth]:
    """How some services are, or all that are installed. Raises UnknownName, and ValidationError for wrong settings."""
    services = [service.load() for service in chosen(names)]
    return list(await asyncio.gather(*map(_examine, services)))


async def _examine(service: Installed) -> ServiceHealth:
    settings = service.settings()
    by_itself: dict[str, CheckResult] = {}

    async def probe() -> str:
        ready, alive = await ask(f"http://{settings.http_host}:{settings.http_port}")
        by_itself.update(ready.checks)
        if not ready.ready:
            raise RuntimeError("not ready")
        if not alive.alive:
            raise RuntimeError(f"workers: {alive.workers}")
        return f"version {ready.version}"

    async with service.create(settings).opened() as made:
        checks = [*made.outside.checks, Check("process", probe)]
        results = await asyncio.gather(*map(run_check, checks))
    from_here = {check.name: result for check, result in zip(checks, results, strict=True)}
    return ServiceHealth(service.name, from_here, by_itself)
