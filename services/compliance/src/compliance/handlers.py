"""The border: what others say becomes commands of our own, each with the stream it concerns.

Some decisions need a fact of another stream: the hash of a published version, whose a request is. Such facts never
change once recorded, so they are looked up before the decision and handed over in the command.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from compliance import domain
from contracts import audit, chain
from contracts import compliance as answers
from contracts.chain import DocumentType
from contracts.values import Hash
from eventlog import EventLog, Executor, Intent, JointIntent, Metadata
from messaging import Committed, Handle, MissingPrerequisite, Received, inbox, orders

TOPICS = ("audit.events", "chain.compliance-registry", orders.ORDERS.name, orders.ANSWERS.name)

Hashes = Mapping[tuple[DocumentType, int], frozenset[Hash]]
"""The hashes of all texts of each version."""

# ---- facts of other streams --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Known:
    """Hashes of published versions, and the subjects of requests."""

    hashes: Hashes
    subjects: Mapping[str, str]


class Facts:
    """Looks up facts that never change, in the log itself: what is committed is found, without any lag."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._documents: dict[str, tuple[int, domain.Versions]] = {
            document_stream(document_type): (0, domain.document.initial) for document_type in DocumentType
        }

    async def hashes(self, connection: asyncpg.Connection | None = None) -> Hashes:
        """The hashes of every published version. Reads only what was published since the last time."""
        after = {stream: version for stream, (version, _) in self._documents.items()}
        for recorded in await self._log.read_streams(after, connection):
            seen, versions = self._documents[recorded.stream]
            if recorded.version > seen:  # another look-up may have been faster
                versions = domain.document.evolve(versions, recorded.event)
                self._documents[recorded.stream] = (recorded.version, versions)
        return {
            (document_type, number): version.hashes
            for document_type in DocumentType
            for number, version in self._documents[document_stream(document_type)][1].items()
        }

    async def published(self, document_type: DocumentType, version: int) -> frozenset[Hash]:
        """The hashes of a published version; raises NotOnRecord if there is none."""
        try:
            return (await self.hashes())[document_type, version]
        except KeyError:
            name = f"{document_type.label} version {version}"
            raise domain.NotOnRecord(f"{name}: not published") from None

    async def subject_of(self, request_id: str) -> str:
        """Whose a request is; raises NotOnRecord if there is none with this id."""
        try:
            return (await self.subjects([request_id]))[request_id]
        except KeyError:
            raise domain.NotOnRecord(f"request {request_id}: not received") from None

    async def subjects(self, ids: Iterable[str], connection: asyncpg.Connection | None = None) -> dict[str, str]:
        """Whose the requests with these ids are; unknown ids are left out."""
        wanted = dict.fromkeys((request_id_stream(request_id) for request_id in ids), 0)
        if not wanted:
            return {}
        events = [recorded.event for recorded in await self._log.read_streams(wanted, connection)]
        return {event.request_id: event.subject for event in events}


# ---- from the chain, and from the other services -------------------------------------------------------------------


def handle_messages(executor: Executor, facts: Facts) -> Handle:
    """The handler of the consumer: one look-up, one execution, one append for a batch."""

    async def handle(batch: Sequence[Received], connection: asyncpg.Connection) -> Committed | None:
        known = await _known(batch, facts, connection)
        return await inbox(lambda received: translate(received, known), executor)(batch, connection)

    return handle


def translate(received: Received, known: Known) -> Sequence[Intent]:
    """What a message means to us; raises MissingPrerequisite for the end of a request not yet received."""
    message = received.message
    match message:
        case chain.DocumentPublished():
            return [
                document(
                    domain.PublishDocument(
                        message.document_type,
                        message.version,
                        message.content_hash,
                        message.uri,
                        effective_at=None,
                        at=message.occurred_at,
                        source=message.source,
                    ),
                    message.occurred_at,
                    Metadata(),
                )
            ]
        case chain.DocumentAccepted():
            return [_acceptance(message, known)]
        case chain.DeletionRequested():
            receive = domain.ReceiveDeletion(
                message.request_id, message.account, message.law, message.occurred_at, message.source
            )
            return receive_deletion(receive, Metadata(actor=message.account))
        case chain.DeletionCompleted():
            subject = _subject(message.request_id, known)
            complete = domain.CompleteDeletion(
                message.request_id, message.certificate_hash, message.occurred_at, message.source
            )
            return [deletion_step(subject, complete, Metadata())]
        case chain.DeletionDenied():
            subject = _subject(message.request_id, known)
            deny = domain.DenyDeletion(message.request_id, message.reason, message.occurred_at, message.source)
            return [deletion_step(subject, deny, Metadata())]
        case answers.ExportGathered():
            subject = _subject(message.request_id, known)
            return [access_step(subject, _gathering(message), Metadata())]
        case answers.ErasureCarriedOut():
            return [deletion_step(_subject(message.request_id, known), _answer(received, message), Metadata())]
        case chain.RootAnchored():
            anchored = domain.RootAnchored(message.log_id, message.segment, message.root, message.source)
            return [anchor(anchored, message.occurred_at)]
        case audit.Acted():
            return [_act(message)]
        case _:
            return orders.ordered(received)


def _act(message: audit.Acted) -> Intent:
    fields = message.model_dump(exclude={"event_id", "at"})
    reported = domain.ActReported(event_id=str(message.event_id), **fields)
    return Intent(f"act/{message.service}/{message.event_id}", domain.act, reported, message.at)


def _acceptance(message: chain.DocumentAccepted, known: Known) -> Intent:
    command = domain.RecordAcceptance(
        message.account,
        message.document_type,
        message.version,
        message.content_hash,
        known.hashes.get((message.document_type, message.version)),
        domain.How.CHAIN,
        message.source,
    )
    return acceptance(command, message.occurred_at, Metadata(actor=message.account))


def _answer(received: Received, answer: answers.ErasureCarriedOut) -> domain.RecordErasure:
    return domain.RecordErasure(
        answer.request_id,
        answer.subject,
        answer.service,
        answer.rows,
        answer.kept,
        str(received.log) if received.log is not None else None,
        received.position,
        answer.carried_out_at,
        answer.seal,
        answer.seal_hash,
    )


def _gathering(answer: answers.ExportGathered) -> domain.RecordGathering:
    return domain.RecordGathering(
        answer.request_id,
        answer.subject,
        answer.service,
        answer.content_hash,
        answer.size,
        answer.events,
        answer.gathered_at,
    )


def _subject(request_id: str, known: Known) -> str:
    subject = known.subjects.get(request_id)
    if subject is None:
        raise MissingPrerequisite(f"request {request_id}: not received yet")
    return subject


async def _known(batch: Sequence[Received], facts: Facts, connection: asyncpg.Connection) -> Known:
    """What is on record, and what this batch will record: it takes effect as one."""
    hashes: dict[tuple[DocumentType, int], frozenset[Hash]] = {}
    subjects: dict[str, str] = {}
    named: set[str] = set()
    for received in batch:
        match received.message:
            case chain.DocumentPublished() as published:
                hashes[published.document_type, published.version] = frozenset([published.content_hash])
            case chain.DeletionRequested() as requested:
                subjects[requested.request_id] = requested.account
            case (
                chain.DeletionCompleted()
                | chain.DeletionDenied()
                | answers.ErasureCarriedOut()
                | answers.ExportGathered()
            ):
                named.add(received.message.request_id)
            case _:
                pass
    recorded = await facts.subjects(named, connection)
    return Known({**hashes, **await facts.hashes(connection)}, subjects | recorded)


# ---- commands and their streams ----------------------------------------------------------------------------------


def document_stream(document_type: DocumentType) -> str:
    return f"document/{document_type.label}"


def contact_stream(subject: str) -> str:
    return f"contact/{subject}"


def request_id_stream(request_id: str) -> str:
    return f"request-id/{request_id}"


def access_stream(subject: str) -> str:
    return f"access/{subject}"


def deletion_stream(subject: str) -> str:
    return f"deletion/{subject}"


def rectification_stream(subject: str) -> str:
    return f"rectification/{subject}"


def opt_out_stream(subject: str) -> str:
    return f"opt-out/{subject}"


def hold_stream(subject: str) -> str:
    return f"legal-hold/{subject}"


def wallet_stream(address: str) -> str:
    return f"wallet/{address}"


def document(command: domain.DocumentCommand, at: datetime, metadata: Metadata) -> Intent:
    """What is asked of a document, for the stream of its type."""
    return Intent(document_stream(command.document_type), domain.document, command, at, metadata)


def acceptance(command: domain.AcceptanceCommand, at: datetime, metadata: Metadata) -> Intent:
    """What was served, accepted or withdrawn, for the stream of its subject and document type."""
    stream = f"acceptance/{command.subject}/{command.document_type.label}"
    return Intent(stream, domain.acceptance, command, at, metadata)


def wallet(command: domain.WalletCommand, at: datetime, metadata: Metadata) -> Intent:
    """What is asked of a wallet, for its stream."""
    return Intent(wallet_stream(command.address), domain.wallet, command, at, metadata)


def kyc(command: domain.KycCommand, metadata: Metadata) -> Intent:
    """A step towards being known, for the stream of its subject."""
    return Intent(f"kyc/{command.subject}", domain.kyc, command, command.at, metadata)


def receive_deletion(command: domain.ReceiveDeletion, metadata: Metadata) -> list[Intent]:
    """A request for erasure: its id is taken and it is received, both or neither."""
    return [
        _take_id(command, metadata),
        Intent(deletion_stream(command.subject), domain.deletions, command, command.at, metadata),
    ]


def _take_id(
    command: domain.ReceiveDeletion | domain.ReceiveAccess | domain.ReceiveRectification, metadata: Metadata
) -> Intent:
    taken = domain.RequestIdTaken(command.request_id, command.subject)
    return Intent(request_id_stream(command.request_id), domain.request_id, taken, command.at, metadata)


def deletion_step(subject: str, command: domain.Step, metadata: Metadata) -> Intent:
    """A step of a request, for the stream of its subject."""
    return Intent(deletion_stream(subject), domain.deletions, command, command.at, metadata)


def start_deletion(subject: str, command: domain.StartDeletion, metadata: Metadata) -> JointIntent:
    """The order to erase, unless a legal hold on any of its subjects forbids it: one decision on all their streams."""
    stream = deletion_stream(subject)
    holds = {hold_stream(one): domain.legal_hold for one in command.subjects}

    def decided(states: Mapping[str, Any]) -> Sequence[tuple[str, object]]:
        events = domain.deletions.decide(command, states[stream])
        held = [f"{name.partition('/')[2]} for {domain.told_holds(states[name])}" for name in holds if states[name]]
        if events and held:
            raise domain.HeldByLaw(f"request {command.request_id}: {', '.join(held)}")
        return [(stream, event) for event in events]

    return JointIntent({stream: domain.deletions, **holds}, decided, command.at, metadata)


def receive_access(command: domain.ReceiveAccess, metadata: Metadata) -> list[Intent]:
    """A request for a copy: its id is taken and it is received, both or neither."""
    return [
        _take_id(command, metadata),
        Intent(access_stream(command.subject), domain.accesses, command, command.at, metadata),
    ]


def access_step(subject: str, command: domain.AccessStep, metadata: Metadata) -> Intent:
    """A step of a request for a copy, for the stream of its subject."""
    return Intent(access_stream(subject), domain.accesses, command, command.at, metadata)


def receive_rectification(command: domain.ReceiveRectification, metadata: Metadata) -> list[Intent]:
    """A request for a correction: its id is taken and it is received, both or neither."""
    return [_take_id(command, metadata), rectification_step(command.subject, command, metadata)]


def rectification_step(subject: str, command: domain.RectificationCommand, metadata: Metadata) -> Intent:
    """A step of a request for a correction, for the stream of its subject."""
    return Intent(rectification_stream(subject), domain.rectifications, command, command.at, metadata)


def complete_rectification(
    command: domain.CompleteRectification,
    known: domain.ContactGiven,
    corrected: domain.ContactGiven,
    metadata: Metadata,
) -> JointIntent:
    """The end of a request for a correction, with the corrected contact: one decision on both streams."""
    request, contact = rectification_stream(known.subject), contact_stream(known.subject)

    def decided(states: Mapping[str, Any]) -> Sequence[tuple[str, object]]:
        events = domain.rectifications.decide(command, states[request])
        if events and states[contact] != known:
            raise domain.WrongState(f"request {command.request_id}: the contact has been changed meanwhile")
        return [*((request, event) for event in events), *([(contact, corrected)] if events else [])]

    return JointIntent({request: domain.rectifications, contact: domain.contact}, decided, command.at, metadata)


def hold(event: domain.LegalHoldPlaced | domain.LegalHoldLifted, at: datetime, metadata: Metadata) -> Intent:
    """A legal hold placed or lifted, for the stream of its subject."""
    return Intent(hold_stream(event.subject), domain.legal_hold, event, at, metadata)


def opt_out(choice: domain.Choice, at: datetime, metadata: Metadata) -> Intent:
    """What a subject has chosen, for the stream of its choices."""
    return Intent(opt_out_stream(choice.subject), domain.opt_outs, choice, at, metadata)


def anchor(command: domain.AnchorSeal | domain.RootAnchored, at: datetime) -> Intent:
    """An anchor that is wanted or stands on the chain, for the stream of its log."""
    return Intent(f"anchor/{command.log_id}", domain.anchors, command, at)


def retention(event: domain.RetentionSet, at: datetime, metadata: Metadata) -> Intent:
    """How long entries are shown, for the stream of their action."""
    return Intent(f"retention/{event.action}", domain.retention, event, at, metadata)


def log_audit_event(event: domain.AuditEventLogged, at: datetime, key: str, metadata: Metadata) -> Intent:
    """An audit event, for a stream of its own, named by the caller's key: logging it again is recognised."""
    return Intent(f"audit/{key}", domain.audit_event, event, at, metadata)


def refused(command: domain.CommandRefused, at: datetime, key: str, metadata: Metadata) -> Intent:
    """A refusal, for the record; its stream is named by the key of the command."""
    return Intent(f"refusal/{key}", domain.refusals, command, at, metadata)
