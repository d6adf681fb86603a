"""A legal document: its versions, each with the hashes of its exact texts. One stream per document type.

A version is in force from its effective time until a higher one takes effect or its sunset comes. No event says so: it
follows from the clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import assert_never

from compliance.domain.refusal import Contradiction, NotOnRecord, TooLate
from contracts.chain import DocumentType, Source
from contracts.values import Hash
from eventlog import Decider


@dataclass(frozen=True, slots=True)
class PublishDocument:
    """`source` is the place on the chain, None for a publication by an officer; `effective_at` None for at once."""

    document_type: DocumentType
    version: int
    content_hash: Hash
    uri: str
    effective_at: datetime | None
    at: datetime
    source: Source | None


@dataclass(frozen=True, slots=True)
class TranslateDocument:
    document_type: DocumentType
    version: int
    language: str
    content_hash: Hash
    uri: str


@dataclass(frozen=True, slots=True)
class SunsetDocument:
    document_type: DocumentType
    version: int
    sunset_at: datetime
    at: datetime


@dataclass(frozen=True, slots=True)
class DocumentPublished:
    """Once this version is in force, earlier acceptances no longer suffice."""

    document_type: DocumentType
    version: int
    content_hash: Hash
    uri: str
    effective_at: datetime | None  # None: from its publication on
    source: Source | None


@dataclass(frozen=True, slots=True)
class PublicationConfirmed:
    """A version that an officer had published stands on the chain as well, with the same hash."""

    document_type: DocumentType
    version: int
    content_hash: Hash
    source: Source


@dataclass(frozen=True, slots=True)
class TranslationPublished:
    """A version has a text in another language; who accepts that has accepted the version."""

    document_type: DocumentType
    version: int
    language: str
    content_hash: Hash
    uri: str


@dataclass(frozen=True, slots=True)
class SunsetSet:
    """A version ends at a time, whether there is a following one or not."""

    document_type: DocumentType
    version: int
    sunset_at: datetime


DocumentCommand = PublishDocument | TranslateDocument | SunsetDocument
DocumentEvent = DocumentPublished | PublicationConfirmed | TranslationPublished | SunsetSet


@dataclass(frozen=True, slots=True)
class Version:
    content_hash: Hash
    on_chain: bool
    effective_at: datetime | None = None
    sunset_at: datetime | None = None
    translations: Mapping[str, Hash] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def hashes(self) -> frozenset[Hash]:
        """Of all its texts."""
        return frozenset((self.content_hash, *self.translations.values()))


Versions = Mapping[int, Version]


def decide(command: DocumentCommand, versions: Versions) -> list[DocumentEvent]:
    """A text's hash never changes. Everything else rests on that: it may be looked up before a decision is made."""
    name = f"{command.document_type.label} version {command.version}"
    known = versions.get(command.version)
    if isinstance(command, PublishDocument):
        return _publish(name, command, versions) if known is None else _publish_again(name, command, known)
    if known is None:
        raise NotOnRecord(f"{name}: not published")
    match command:
        case TranslateDocument():
            return _translate(name, command, known)
        case SunsetDocument():
            return _sunset(name, command, known)
        case never:
            assert_never(never)


def _publish(name: str, command: PublishDocument, versions: Versions) -> list[DocumentEvent]:
    """Officers publish the next version, for now or later; the chain counts for itself."""
    following = max(versions, default=0) + 1
    if command.source is None and command.version != following:
        raise Contradiction(f"{name}: expected the next version, {following}")
    if command.effective_at is not None and command.effective_at < command.at:
        raise TooLate(f"{name}: expected to take effect from now on, got {command.effective_at.isoformat()}")
    text = (command.content_hash, command.uri)
    return [DocumentPublished(command.document_type, command.version, *text, command.effective_at, command.source)]


def _publish_again(name: str, command: PublishDocument, known: Version) -> list[DocumentEvent]:
    if known.content_hash != command.content_hash:
        raise Contradiction(f"{name}: expected the hash {known.content_hash}, got {command.content_hash}")
    if command.source is None and command.effective_at != known.effective_at:
        raise Contradiction(f"{name}: expected to take effect at {known.effective_at or 'once'}")
    if command.source is None or known.on_chain:
        return []
    return [PublicationConfirmed(command.document_type, command.version, command.content_hash, command.source)]


def _translate(name: str, command: TranslateDocument, known: Version) -> list[DocumentEvent]:
    published = known.translations.get(command.language)
    if published == command.content_hash:
        return []
    if published is not None:
        raise Contradiction(f"{name} in {command.language}: expected the hash {published}, got {command.content_hash}")
    text = (command.language, command.content_hash, command.uri)
    return [TranslationPublished(command.document_type, command.version, *text)]


def _sunset(name: str, command: SunsetDocument, known: Version) -> list[DocumentEvent]:
    """A sunset can be moved until it has come; it is never in the past, nor before the version takes effect."""
    if known.sunset_at == command.sunset_at:
        return []
    if known.sunset_at is not None and known.sunset_at <= command.at:
        raise TooLate(f"{name}: ended at {known.sunset_at.isoformat()}")
    earliest = max(command.at, known.effective_at or command.at)
    if command.sunset_at < earliest:
        raise TooLate(f"{name}: expected an end from {earliest.isoformat()} on, got {command.sunset_at.isoformat()}")
    return [SunsetSet(command.document_type, command.version, command.sunset_at)]


def evolve(versions: Versions, event: DocumentEvent) -> Versions:
    if isinstance(event, DocumentPublished):
        on_chain = event.source is not None
        return {**versions, event.version: Version(event.content_hash, on_chain, event.effective_at)}
    version = versions[event.version]
    match event:
        case PublicationConfirmed():
            version = replace(version, on_chain=True)
        case TranslationPublished():
            version = replace(version, translations={**version.translations, event.language: event.content_hash})
        case SunsetSet():
            version = replace(version, sunset_at=event.sunset_at)
        case never:
            assert_never(never)
    return {**versions, event.version: version}


document: Decider[DocumentCommand, Versions, DocumentEvent] = Decider(MappingProxyType({}), decide, evolve)
