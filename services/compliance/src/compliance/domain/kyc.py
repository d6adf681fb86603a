"""Whether a subject is known: not started → pending → in review → approved | rejected; expired follows from the clock.

Evidence stays where it was gathered. Its reference, its hash and what was found say who somebody is: they are sealed.
The score that follows from the findings says so little that it isn't.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import assert_never

from compliance.domain.refusal import WrongState
from compliance.domain.risk import REVIEWED_FROM, Finding, assess
from eventlog import Decider
from privacy import Sealed

VALID = timedelta(days=730)
"""How long an approval lasts."""


class KycState(StrEnum):
    NOT_STARTED = "not-started"
    PENDING = "pending"
    IN_REVIEW = "in-review"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"


class RejectionReason(StrEnum):
    IDENTITY_NOT_PROVEN = "identity-not-proven"
    DOCUMENT_NOT_ACCEPTED = "document-not-accepted"
    RISK_TOO_HIGH = "risk-too-high"
    NO_ANSWER = "no-answer"


# ---- commands ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StartKyc:
    subject: str
    level: int
    at: datetime


@dataclass(frozen=True, slots=True)
class ReportScreening:
    """`screening_id` is the provider's: a report that comes again is the same one. `findings` are in `details`, too."""

    subject: str
    provider: str
    screening_id: str
    details: Sealed
    findings: tuple[Finding, ...]
    at: datetime


@dataclass(frozen=True, slots=True)
class ApproveKyc:
    subject: str
    at: datetime


@dataclass(frozen=True, slots=True)
class RejectKyc:
    subject: str
    reason: RejectionReason
    at: datetime


# ---- events ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class KycStarted:
    subject: str
    level: int


@dataclass(frozen=True, slots=True)
class KycScreened:
    """What a provider found, and what that comes to under a version of the rule: 0 to 100.

    `details` are the findings, where the provider keeps the evidence, and its hash, as JSON.
    """

    subject: str
    provider: str
    screening_id: str
    details: Sealed
    risk_score: int
    risk_rule: int
    screen_again_at: datetime
    review: bool  # an officer has to look


@dataclass(frozen=True, slots=True)
class KycApproved:
    subject: str
    level: int
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class KycRejected:
    subject: str
    level: int
    reason: RejectionReason


KycCommand = StartKyc | ReportScreening | ApproveKyc | RejectKyc
KycEvent = KycStarted | KycScreened | KycApproved | KycRejected


@dataclass(frozen=True, slots=True)
class Kyc:
    """`level` is the one that was asked for last."""

    state: KycState = KycState.NOT_STARTED
    level: int = 0
    expires_at: datetime | None = None
    screenings: frozenset[str] = frozenset()

    def state_at(self, now: datetime) -> KycState:
        """The state as of `now`: an approval ends by itself."""
        over = self.state is KycState.APPROVED and self.expires_at is not None and self.expires_at <= now
        return KycState.EXPIRED if over else self.state


def decide(command: KycCommand, kyc: Kyc) -> list[KycEvent]:
    state = kyc.state_at(command.at)
    match command:
        case StartKyc(subject, level):
            under_way = state in (KycState.PENDING, KycState.IN_REVIEW, KycState.APPROVED)
            return [] if under_way and level <= kyc.level else [KycStarted(subject, level)]
        case ReportScreening():
            return _screened(command, kyc, state)
        case ApproveKyc(subject, at):
            if state is KycState.APPROVED:
                return []
            _expect(command, state, KycState.IN_REVIEW)
            return [KycApproved(subject, kyc.level, at + VALID)]
        case RejectKyc(subject, reason):
            if state is KycState.REJECTED:
                return []
            _expect(command, state, KycState.PENDING, KycState.IN_REVIEW)
            return [KycRejected(subject, kyc.level, reason)]
        case never:
            assert_never(never)


def _screened(command: ReportScreening, kyc: Kyc, state: KycState) -> list[KycEvent]:
    """A first screening is reviewed; a repeated one only if the risk is high. Until then an approval stands."""
    if command.screening_id in kyc.screenings:
        return []
    _expect(command, state, KycState.PENDING, KycState.IN_REVIEW, KycState.APPROVED)
    risk = assess(command.findings)
    review = state is not KycState.APPROVED or risk.score >= REVIEWED_FROM
    found = (command.provider, command.screening_id, command.details, risk.score, risk.rule_version)
    return [KycScreened(command.subject, *found, command.at + risk.screened_every, review)]


def _expect(command: KycCommand, found: KycState, *allowed: KycState) -> None:
    if found not in allowed:
        raise WrongState(f"kyc of {command.subject}: expected {' or '.join(allowed)}, found {found}")


def evolve(kyc: Kyc, event: KycEvent) -> Kyc:
    match event:
        case KycStarted():
            return replace(kyc, state=KycState.PENDING, level=event.level)
        case KycScreened():
            state = KycState.IN_REVIEW if event.review else kyc.state
            return replace(kyc, state=state, screenings=kyc.screenings | {event.screening_id})
        case KycApproved():
            return replace(kyc, state=KycState.APPROVED, expires_at=event.expires_at)
        case KycRejected():
            return replace(kyc, state=KycState.REJECTED)
        case never:
            assert_never(never)


kyc: Decider[KycCommand, Kyc, KycEvent] = Decider(Kyc(), decide, evolve)
