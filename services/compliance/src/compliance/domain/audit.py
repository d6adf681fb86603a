"""The audit trail: what is on record beside the events themselves, which name their actor and cause anyhow.

Codes, numbers and hashes only: free text could hold personal data, and a log can't forget.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from compliance.domain.refusal import Contradiction
from contracts.values import Hash
from eventlog import Decider


@dataclass(frozen=True, slots=True)
class AuditEventLogged:
    """Somebody else's act, reported to us. A `kind` that begins with `admin.` is an act of administration."""

    kind: str
    subject: str | None  # whom or what it was done to
    detail: Mapping[str, str | int | bool]


@dataclass(frozen=True, slots=True)
class ActReported:
    """An act in another service, told by its relay: an event of its log, with its digest and that of the one before."""

    service: str
    event_id: str
    position: int
    stream: str
    version: int
    action: str
    actor: str
    role: str | None
    causation_id: str | None
    digest: Hash
    previous: Hash | None
    refused: str | None = None


@dataclass(frozen=True, slots=True)
class CommandRefused:
    """A caller asked for what the rules don't allow; nothing else was recorded."""

    command: str
    subject: str | None
    code: str  # of the refusal


Report = TypeVar("Report", AuditEventLogged, ActReported)


def log(command: Report, logged: Report | None) -> list[Report]:
    if logged is None:
        return [command]
    if logged == command:
        return []
    raise Contradiction("audit event: its key was used for another one")


def refuse(command: CommandRefused, last: CommandRefused | None) -> list[CommandRefused]:
    return [] if command == last else [command]


audit_event: Decider[AuditEventLogged, AuditEventLogged | None, AuditEventLogged] = Decider(
    None, log, lambda _, logged: logged
)
act: Decider[ActReported, ActReported | None, ActReported] = Decider(None, log, lambda _, reported: reported)
refusals: Decider[CommandRefused, CommandRefused | None, CommandRefused] = Decider(
    None, refuse, lambda _, refused: refused
)
