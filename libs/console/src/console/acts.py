"""What an administrator does to read models and dead letters: put on record first, then done as the command does it.

The record is an event of the compliance service, made with the administrator's own token, so that its rules hold. An
act that can't be put on record is not done; the `annals` command is there for such a day.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from io import StringIO

from rich.console import Console

from annals import dlq, maintenance
from annals.errors import Exit, UnknownName, exit_code, plain, sentence
from annals.maintenance import MOST_A_SECOND
from annals.services import find_projection
from console.services_api import ServicesApi
from console.sessions import Operator
from service import get_logger

_NO_CODE = re.compile(r"[^A-Za-z0-9._:/-]")
log = get_logger("console.acts")


class Refused(Exception):
    """Why something was not done, for a reader."""


@dataclass(slots=True)
class Rebuild:
    """A rebuild that this process runs, or has run."""

    name: str
    by: str
    outcome: str | None = None
    good: bool = True

    @property
    def runs(self) -> bool:
        return self.outcome is None


@dataclass(slots=True)
class Rebuilds:
    """Rebuilds, each a task of this process. When it ends they stop where they are, and can be resumed."""

    name: str = "rebuilds"
    known: dict[str, Rebuild] = field(default_factory=dict)
    _wanted: asyncio.Queue[tuple[Rebuild, Callable[[], Awaitable[maintenance.Outcome]]]] = field(
        default_factory=asyncio.Queue
    )

    async def run(self) -> None:
        """Start what is wanted, until the process stops."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                tasks.create_task(self._one(*await self._wanted.get()))

    def start(self, name: str, by: str, *, compare: bool, rate: int | None, resume: bool) -> None:
        """Rebuild `service.projection`. Raises Refused while that is under way here."""
        if name in self.known and self.known[name].runs:
            raise Refused(f"{name} is being rebuilt, on the word of {self.known[name].by}")
        self.known[name] = begun = Rebuild(name, by)
        quiet = Console(file=StringIO())
        self._wanted.put_nowait(
            (begun, lambda: maintenance.rebuild(name, compare=compare, rate=rate, resume=resume, console=quiet))
        )

    async def _one(self, rebuild: Rebuild, work: Callable[[], Awaitable[maintenance.Outcome]]) -> None:
        try:
            done = await work()
            rebuild.outcome, rebuild.good = done.sentence(), done.equal is not False
        except Exception as error:
            if exit_code(error) in (None, Exit.UNFORESEEN):
                log.exception("a rebuild failed", projection=rebuild.name)
            rebuild.outcome, rebuild.good = sentence(error), False


@dataclass(frozen=True, slots=True)
class Acts:
    """All that can be done; each returns a sentence, and raises Refused."""

    services: ServicesApi
    rebuilds: Rebuilds

    async def on_projection(self, operator: Operator, act: str, name: str, fields: Mapping[str, str]) -> str:
        """`act` is pause, resume, rebuild or rollback; with the field `rebuild` the first two are about a rebuild."""
        rebuild, why = bool(fields.get("rebuild")), fields.get("why", "").strip() or None
        works: dict[str, Callable[[], Awaitable[str]]] = {
            "pause": lambda: self._pause(operator, name, why, rebuild),
            "resume": lambda: self._resume(name, rebuild),
            "rebuild": lambda: self._rebuild(operator, name, fields),
            "rollback": lambda: self._rollback(name),
        }
        return await self._done(operator, f"projection-{act}", name, why, _chosen(works, act))

    async def on_letter(self, operator: Operator, act: str, name: str, fields: Mapping[str, str]) -> str:
        """`act` is retry or discard; the latter for ever, and with a reason."""
        why = fields.get("why", "").strip() or None
        if act == "discard" and why is None:
            raise Refused("a discard: expected the reason, which stays on record")
        works: dict[str, Callable[[], Awaitable[str]]] = {
            "retry": lambda: _told(dlq.retry(name)),
            "discard": lambda: _told(dlq.discard(name, why=why or "", by=operator.name)),
        }
        return await self._done(operator, f"letter-{act}", name, why, _chosen(works, act))

    async def _done(
        self, operator: Operator, act: str, name: str, why: str | None, work: Callable[[], Awaitable[str]]
    ) -> str:
        detail = {"name": _code(name), **({"why": _code(why)} if why else {})}
        recorded = await self.services.put_on_record(operator, f"admin.console.{act}", detail)
        if recorded.problem is not None:
            raise Refused(f"nothing was done, for it could not be put on record: {recorded.problem}")
        try:
            return await work()
        except Exception as error:
            if exit_code(error) in (None, Exit.UNFORESEEN):
                raise
            raise Refused(plain(error)) from error

    async def _pause(self, operator: Operator, name: str, why: str | None, rebuild: bool) -> str:
        await maintenance.pause(name, by=operator.name, why=why, rebuild=rebuild)
        return f"{_what(name, rebuild)} is paused."

    async def _resume(self, name: str, rebuild: bool) -> str:
        await maintenance.resume(name, rebuild=rebuild)
        return f"{_what(name, rebuild)} goes on."

    async def _rebuild(self, operator: Operator, name: str, fields: Mapping[str, str]) -> str:
        find_projection(name)
        compare, resume = bool(fields.get("compare")), bool(fields.get("resume"))
        self.rebuilds.start(name, operator.name, compare=compare, rate=_rate(fields.get("rate", "")), resume=resume)
        return f"{name} is being rebuilt beside the live rows, which serve on."

    async def _rollback(self, name: str) -> str:
        await maintenance.rollback(name)
        return f"{name}: the former rows serve again."


def _chosen(works: Mapping[str, Callable[[], Awaitable[str]]], act: str) -> Callable[[], Awaitable[str]]:
    if act not in works:
        raise Refused(f"expected one of {', '.join(works)}, got {act!r:.40}")
    return works[act]


async def _told(work: Awaitable[dlq.Outcome]) -> str:
    outcome = await work
    if not outcome.good:
        raise Refused(f"{outcome.name}: {outcome.text}")
    return f"{outcome.name}: {outcome.text}"


def _rate(text: str) -> int | None:
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or not 0 < int(text[:12]) <= MOST_A_SECOND:
        raise UnknownName(f"events a second: expected a whole number from 1 to {MOST_A_SECOND:,}, got {text!r:.20}")
    return int(text)


def _what(name: str, rebuild: bool) -> str:
    return f"The rebuild of {name}" if rebuild else name


def _code(text: str) -> str:
    """As the trail takes it: no spaces and no signs beyond those of names."""
    return _NO_CODE.sub("_", text)[:200]
