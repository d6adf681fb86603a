"""Reserves what parties are owed off the chain, and gives back what was not paid in time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from eventlog import Decider, EventLog, Executor, Intent, JointIntent, Metadata, Watermark
from royalties import domain
from royalties.distributing.intents import payee_stream
from royalties.domain import Funds, MoveReserved, Reference, Refused, ReserveMove, distributions
from royalties.projections.ledger import Ledger
from royalties.queries import owed_off_the_chain
from service import Commands, Queries, Recorded, Token

MOVES = "moves/"
LOOK_SECONDS = 1.0
AT_ONCE = 500


def moves_stream(party: str) -> str:
    return f"{MOVES}{party}"


@dataclass(frozen=True, slots=True)
class Reserving:
    """Reserves on behalf of whoever pays."""

    service: str
    log: EventLog
    commands: Commands
    reads: Queries

    async def reserve(self, wanted: ReserveMove, at: datetime, metadata: Metadata) -> Recorded:
        """Raises Refused, and Problem 503 while the party's lines are not all shown."""
        moves, payee = moves_stream(wanted.party), payee_stream(wanted.party)
        while True:
            command = replace(wanted, funds=await self._funds(wanted))

            def decided(states: Mapping[str, Any], command: ReserveMove = command) -> Sequence[tuple[str, object]]:
                events = domain.moves.decide(command, states[moves])
                if events and (hold := states[payee].hold) is not None:
                    raise Refused("held", f"{command.party} is held: {hold.reason}")
                return [(moves, event) for event in events]

            deciders: dict[str, Decider[Any, Any, Any]] = {moves: domain.moves, payee: distributions.payee}
            try:
                return await self.commands.execute([JointIntent(deciders, decided, at, metadata)])
            except domain.BooksMoved:
                continue

    async def _funds(self, wanted: ReserveMove) -> Funds:
        """What is there, with all moves that the party has made so far."""
        stream = moves_stream(wanted.party)
        made = await self.commands.state(stream, domain.moves)
        if (last := await self.log.last(stream)) is not None:
            await self.reads.caught_up(Token(log=self.service, stream=stream, position=last.position), Ledger)
        row = await self.reads.first(owed_off_the_chain(wanted.account, wanted.asset))
        return Funds(int(row["amount"]), len(made))


class MoveExpiry:
    """Ends moves whose time is over; a worker. Any number of instances may run: a move ends once."""

    name = "moves"

    def __init__(self, log: EventLog, executor: Executor, watermark: Watermark) -> None:
        self._log = log
        self._executor = executor
        self._watermark = watermark

    async def run(self) -> None:
        """Runs until cancelled. Nothing is kept: what is reserved is read from the log again when it begins."""
        reserved: dict[tuple[str, Reference], datetime] = {}
        position, horizon = 0, await self._watermark.measure()
        while True:
            await self._read(position, horizon, reserved)
            await self._expire([key for key, until in reserved.items() if until <= datetime.now(UTC)])
            position, horizon = horizon, await self._watermark.beyond(horizon, LOOK_SECONDS)

    async def _read(self, position: int, horizon: int, reserved: dict[tuple[str, Reference], datetime]) -> None:
        while found := await self._log.read(position, horizon, streams=MOVES):
            for recorded in found:
                key = (recorded.stream, recorded.event.reference)
                if isinstance(recorded.event, MoveReserved):
                    reserved[key] = recorded.event.expires_at
                else:
                    del reserved[key]
            position = found[-1].position

    async def _expire(self, over: Sequence[tuple[str, Reference]]) -> None:
        now = datetime.now(UTC)
        ends = [Intent(stream, domain.moves, domain.ExpireMove(reference, now), now) for stream, reference in over]
        for start in range(0, len(ends), AT_ONCE):  # apart: one may have been posted a moment ago
            await self._executor.execute(ends[start : start + AT_ONCE], apart=True)
