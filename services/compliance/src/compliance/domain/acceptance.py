"""What one subject was shown, has accepted and has withdrawn of one document type; none of these implies another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import assert_never

from compliance.domain.refusal import Contradiction, WrongText
from contracts.chain import DocumentType, Source
from contracts.values import Hash
from eventlog import Decider


class How(StrEnum):
    """By which way an acceptance came; each way is evidence of its own."""

    CHAIN = "chain"
    API = "api"
    IMPORT = "imported"  # a record of the system before


@dataclass(frozen=True, slots=True)
class RecordServed:
    """`published` has the hashes of the version's texts, looked up: they never change."""

    subject: str
    document_type: DocumentType
    version: int
    content_hash: Hash
    published: frozenset[Hash]


@dataclass(frozen=True, slots=True)
class RecordAcceptance:
    """`published` is None for an acceptance on the chain, or of the system before, that is ahead of its document.

    Their keys differ, so their order is not kept; and ComplianceRegistry lets nobody accept another text. Whether an
    acceptance counts is answered by comparing its hash with the published ones, so it never counts wrongly.
    """

    subject: str
    document_type: DocumentType
    version: int
    content_hash: Hash
    published: frozenset[Hash] | None
    how: How
    source: Source | None


@dataclass(frozen=True, slots=True)
class WithdrawConsent:
    """`withdrawal_id` is the caller's: to withdraw with it again is the same withdrawal."""

    subject: str
    document_type: DocumentType
    withdrawal_id: str
    at: datetime


@dataclass(frozen=True, slots=True)
class DocumentServed:
    """The subject was shown exactly this text, for the first time."""

    subject: str
    document_type: DocumentType
    version: int
    content_hash: Hash


@dataclass(frozen=True, slots=True)
class DocumentAccepted:
    """The subject accepted exactly this text."""

    subject: str
    document_type: DocumentType
    version: int
    content_hash: Hash
    how: How
    source: Source | None


@dataclass(frozen=True, slots=True)
class ConsentWithdrawn:
    """Nothing that the subject has accepted until then, by its id or by a wallet of its own, counts any more."""

    subject: str
    document_type: DocumentType
    withdrawal_id: str
    withdrawn_at: datetime


AcceptanceCommand = RecordServed | RecordAcceptance | WithdrawConsent
AcceptanceEvent = DocumentServed | DocumentAccepted | ConsentWithdrawn


@dataclass(frozen=True, slots=True)
class Acceptances:
    served: frozenset[tuple[int, Hash]] = frozenset()
    accepted: Mapping[tuple[int, How], Hash] = field(default_factory=lambda: MappingProxyType({}))
    withdrawals: frozenset[str] = frozenset()


def decide(command: AcceptanceCommand, state: Acceptances) -> list[AcceptanceEvent]:
    match command:
        case RecordServed(subject, document_type, version, content_hash, published):
            _expect_text(command, published)
            if (version, content_hash) in state.served:
                return []
            return [DocumentServed(subject, document_type, version, content_hash)]
        case RecordAcceptance():
            return _accept(command, state)
        case WithdrawConsent(subject, document_type, withdrawal_id, at):
            if withdrawal_id in state.withdrawals:
                return []
            return [ConsentWithdrawn(subject, document_type, withdrawal_id, at)]
        case never:
            assert_never(never)


def _accept(command: RecordAcceptance, state: Acceptances) -> list[AcceptanceEvent]:
    recorded = state.accepted.get((command.version, command.how))
    both = {recorded, command.content_hash}
    if recorded is not None and len(both) > 1 and not both <= (command.published or frozenset()):
        raise Contradiction(f"{_name(command)}: accepted with the hash {recorded} before, got {command.content_hash}")
    _expect_text(command, command.published)
    if recorded is not None:
        return []
    text = (command.document_type, command.version, command.content_hash)
    return [DocumentAccepted(command.subject, *text, command.how, command.source)]


def _expect_text(command: RecordServed | RecordAcceptance, published: frozenset[Hash] | None) -> None:
    if published is not None and command.content_hash not in published:
        expected = " or ".join(sorted(published))
        raise WrongText(f"{_name(command)}: expected the hash {expected}, got {command.content_hash}")


def _name(command: RecordServed | RecordAcceptance) -> str:
    return f"{command.document_type.label} version {command.version}"


def evolve(state: Acceptances, event: AcceptanceEvent) -> Acceptances:
    match event:
        case DocumentServed():
            return replace(state, served=state.served | {(event.version, event.content_hash)})
        case DocumentAccepted():
            return replace(state, accepted={**state.accepted, (event.version, event.how): event.content_hash})
        case ConsentWithdrawn():  # by API it can be accepted again; the chain and the imported have said what they say
            lasting = {key: text for key, text in state.accepted.items() if key[1] is not How.API}
            return replace(state, accepted=lasting, withdrawals=state.withdrawals | {event.withdrawal_id})
        case never:
            assert_never(never)


acceptance: Decider[AcceptanceCommand, Acceptances, AcceptanceEvent] = Decider(Acceptances(), decide, evolve)
