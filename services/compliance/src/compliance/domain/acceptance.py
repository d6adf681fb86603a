"""What one subject was shown and has accepted of one document type: two facts, neither implies the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
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
    """`published_hash` is that of the published version, looked up: it never changes."""

    subject: str
    document_type: DocumentType
    version: int
    content_hash: Hash
    published_hash: Hash


@dataclass(frozen=True, slots=True)
class RecordAcceptance:
    """`published_hash` is None for an acceptance on the chain, or of the system before, that is ahead of its document.

    Their keys differ, so their order is not kept; and ComplianceRegistry lets nobody accept another text. Whether an
    acceptance counts is answered by comparing its hash with the published one, so it never counts wrongly.
    """

    subject: str
    document_type: DocumentType
    version: int
    content_hash: Hash
    published_hash: Hash | None
    how: How
    source: Source | None


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


AcceptanceCommand = RecordServed | RecordAcceptance
AcceptanceEvent = DocumentServed | DocumentAccepted


@dataclass(frozen=True, slots=True)
class Acceptances:
    served: frozenset[int] = frozenset()
    accepted: Mapping[tuple[int, How], Hash] = field(default_factory=lambda: MappingProxyType({}))


def decide(command: AcceptanceCommand, state: Acceptances) -> list[AcceptanceEvent]:
    name = f"{command.document_type.label} version {command.version}"
    if isinstance(command, RecordAcceptance):
        recorded = state.accepted.get((command.version, command.how), command.content_hash)
        if recorded != command.content_hash:
            raise Contradiction(f"{name}: accepted with the hash {recorded} before, got {command.content_hash}")
    if command.published_hash not in (None, command.content_hash):
        raise WrongText(f"{name}: expected the hash {command.published_hash}, got {command.content_hash}")
    match command:
        case RecordServed(subject, document_type, version, content_hash):
            if version in state.served:
                return []
            return [DocumentServed(subject, document_type, version, content_hash)]
        case RecordAcceptance(subject, document_type, version, content_hash, _, how, source):
            if (version, how) in state.accepted:
                return []
            return [DocumentAccepted(subject, document_type, version, content_hash, how, source)]
        case never:
            assert_never(never)


def evolve(state: Acceptances, event: AcceptanceEvent) -> Acceptances:
    match event:
        case DocumentServed():
            return replace(state, served=state.served | {event.version})
        case DocumentAccepted():
            return replace(state, accepted={**state.accepted, (event.version, event.how): event.content_hash})
        case never:
            assert_never(never)


acceptance: Decider[AcceptanceCommand, Acceptances, AcceptanceEvent] = Decider(Acceptances(), decide, evolve)
