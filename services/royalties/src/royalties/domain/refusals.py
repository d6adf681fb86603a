"""Commands that came by the topic and could not be followed: on record, for nobody waits for an answer there."""

from __future__ import annotations

from dataclasses import dataclass

from eventlog import Decider
from royalties.domain.books import Reference


@dataclass(frozen=True, slots=True)
class CommandRefused:
    reference: Reference
    code: str
    detail: str


refusals: Decider[CommandRefused, None, CommandRefused] = Decider(None, lambda fact, _: [fact], lambda state, _: state)
