"""A legal document: its versions, each with the hash of the exact text. One stream per document type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import assert_never

from compliance.domain.refusal import Contradiction
from contracts.chain import DocumentType, Source
from contracts.values import Hash
from eventlog import Decider


@dataclass(frozen=True, slots=True)
class PublishDocument:
    """`source` is the place on the chain, None for a publication by an officer."""

    document_type: DocumentType
    version: int
    content_hash: Hash
    uri: str
    source: Source | None


@dataclass(frozen=True, slots=True)
class DocumentPublished:
    """From here on this version is in force: earlier acceptances no longer suffice."""

    document_type: DocumentType
    version: int
    content_hash: Hash
    uri: str
    source: Source | None


@dataclass(frozen=True, slots=True)
class PublicationConfirmed:
    """A version that an officer had published stands on the chain as well, with the same hash."""

    document_type: DocumentType
    version: int
    content_hash: Hash
    source: Source


DocumentEvent = DocumentPublished | PublicationConfirmed


@dataclass(frozen=True, slots=True)
class Version:
    content_hash: Hash
    on_chain: bool


Versions = Mapping[int, Version]


def decide(command: PublishDocument, versions: Versions) -> list[DocumentEvent]:
    """Officers publish the next version; the chain counts for itself and is only refused a contradiction.

    A version's hash never changes. Everything else rests on that: it may be looked up before a decision is made.
    """
    name = f"{command.document_type.label} version {command.version}"
    known = versions.get(command.version)
    if known is None:
        following = max(versions, default=0) + 1
        if command.source is None and command.version != following:
            raise Contradiction(f"{name}: expected the next version, {following}")
        return [
            DocumentPublished(command.document_type, command.version, command.content_hash, command.uri, command.source)
        ]
    if known.content_hash != command.content_hash:
        raise Contradiction(f"{name}: expected the hash {known.content_hash}, got {command.content_hash}")
    if command.source is None or known.on_chain:
        return []
    return [PublicationConfirmed(command.document_type, command.version, command.content_hash, command.source)]


def evolve(versions: Versions, event: DocumentEvent) -> Versions:
    match event:
        case DocumentPublished():
            return {**versions, event.version: Version(event.content_hash, event.source is not None)}
        case PublicationConfirmed():
            return {**versions, event.version: Version(event.content_hash, True)}
        case never:
            assert_never(never)


document: Decider[PublishDocument, Versions, DocumentEvent] = Decider(MappingProxyType({}), decide, evolve)
