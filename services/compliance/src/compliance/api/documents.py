"""Legal texts: their versions, their languages, from when until when they are in force."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AwareDatetime, Field

from compliance import domain, handlers, projections, queries
from compliance.api.common import DocumentName, NamedType, Officer, OnChain, Reader, VersionNumber, asking, before
from compliance.projections.common import slug
from contracts.values import Hash
from service import After, Commands, IdempotencyKey, Page, Paging, Queries, Recorded, Router, Strict, Tagged

Uri = Annotated[str, Field(min_length=1, max_length=2000, pattern=r"^[a-z][a-z0-9+.-]*:[!-~]+$")]
Language = Annotated[str, Field(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$", description="a tag of BCP 47")]


class Publication(Strict):
    """The next version of a document. Publishing the same again changes nothing."""

    document_type: DocumentName
    version: VersionNumber
    content_hash: Hash = Field(description="SHA-256 of the exact text, in hex")
    uri: Uri = Field(description="where it is")
    effective_at: AwareDatetime | None = Field(None, description="from when it is in force; by default at once")


class Translation(Strict):
    """The text of a version in another language. Its hash never changes either."""

    version: VersionNumber
    language: Language
    content_hash: Hash
    uri: Uri


class Sunset(Strict):
    """When a version ends, whether another follows or not. It can be moved until it has come."""

    version: VersionNumber
    sunset_at: AwareDatetime


class DocumentVersion(OnChain):
    document_type: str
    version: int
    content_hash: str
    uri: str
    published_at: datetime
    published_by: str | None
    effective_at: datetime | None = Field(description="null: from its publication on")
    sunset_at: datetime | None
    in_force: bool
    translations: dict[str, str] = Field(description="hashes by language, beside content_hash")
    served: int
    accepted_on_chain: int
    accepted_by_api: int
    accepted_before: int = Field(description="brought in from the system before this one")


def routes(commands: Commands, reads: Queries) -> Router:
    router = Router(route_class=Tagged)

    @router.post("/documents", summary="Publish the next version of a document")
    async def publish_document(body: Publication, caller: Officer, key: IdempotencyKey) -> Recorded:
        async with asking(commands, "publish-document", None, caller, key) as ask:
            text = (body.document_type, body.version, body.content_hash, body.uri)
            command = domain.PublishDocument(*text, body.effective_at, ask.at, None)
            return await commands.execute([handlers.document(command, ask.at, ask.metadata)])

    @router.post("/documents/{document_type}/translations", summary="Publish a version in another language")
    async def publish_translation(
        document_type: NamedType, body: Translation, caller: Officer, key: IdempotencyKey
    ) -> Recorded:
        async with asking(commands, "publish-translation", None, caller, key) as ask:
            text = (body.language, body.content_hash, body.uri)
            command = domain.TranslateDocument(document_type, body.version, *text)
            return await commands.execute([handlers.document(command, ask.at, ask.metadata)])

    @router.post("/documents/{document_type}/sunset", summary="Set when a version ends")
    async def set_sunset(document_type: NamedType, body: Sunset, caller: Officer, key: IdempotencyKey) -> Recorded:
        async with asking(commands, "set-sunset", None, caller, key) as ask:
            command = domain.SunsetDocument(document_type, body.version, body.sunset_at, ask.at)
            return await commands.execute([handlers.document(command, ask.at, ask.metadata)])

    @router.get("/documents", summary="The documents in force")
    async def list_documents(caller: Reader, after: After) -> list[DocumentVersion]:
        await reads.caught_up(after, projections.Documents)
        return [DocumentVersion(**row) for row in await reads.all(queries.current_documents(datetime.now(UTC)))]

    @router.get("/documents/{document_type}", summary="A document's versions, newest first")
    async def list_versions(
        document_type: NamedType, caller: Reader, paging: Paging, after: After
    ) -> Page[DocumentVersion]:
        await reads.caught_up(after, projections.Documents)
        name = slug(document_type)
        rows = await reads.all(queries.versions(name, datetime.now(UTC), before(paging), paging.limit + 1))
        return paging.page([DocumentVersion(**row) for row in rows], lambda version: (version.version,))

    return router
