"""Legal texts and their versions."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter
from pydantic import Field

from compliance import domain, handlers, projections, queries
from compliance.api.common import DocumentName, NamedType, Officer, OnChain, Reader, VersionNumber, asking, before
from compliance.projections.common import slug
from contracts.values import Hash
from service import After, Commands, IdempotencyKey, Page, Paging, Queries, Recorded, Strict, Tagged


class Publication(Strict):
    """The next version of a document. Publishing the same again changes nothing."""

    document_type: DocumentName
    version: VersionNumber
    content_hash: Hash = Field(description="SHA-256 of the exact text, in hex")
    uri: str = Field(min_length=1, max_length=2000, pattern=r"^[a-z][a-z0-9+.-]*:[!-~]+$", description="where it is")


class DocumentVersion(OnChain):
    document_type: str
    version: int
    content_hash: str
    uri: str
    published_at: datetime
    published_by: str | None
    accepted_on_chain: int
    accepted_by_api: int
    accepted_before: int = Field(description="brought in from the system before this one")


def routes(commands: Commands, reads: Queries) -> APIRouter:
    router = APIRouter(route_class=Tagged)

    @router.post("/documents", summary="Publish the next version of a document")
    async def publish_document(body: Publication, caller: Officer, key: IdempotencyKey) -> Recorded:
        async with asking(commands, "publish-document", None, caller, key) as ask:
            command = domain.PublishDocument(body.document_type, body.version, body.content_hash, body.uri, None)
            return await commands.execute([handlers.publish_document(command, ask.at, ask.metadata)])

    @router.get("/documents", summary="The documents in force")
    async def list_documents(caller: Reader, after: After) -> list[DocumentVersion]:
        await reads.caught_up(after, projections.Documents)
        return [DocumentVersion(**row) for row in await reads.all(queries.current_documents())]

    @router.get("/documents/{document_type}", summary="A document's versions, newest first")
    async def list_versions(
        document_type: NamedType, caller: Reader, paging: Paging, after: After
    ) -> Page[DocumentVersion]:
        await reads.caught_up(after, projections.Documents)
        name = slug(document_type)
        rows = await reads.all(queries.versions(name, before(paging), paging.limit + 1))
        return paging.page([DocumentVersion(**row) for row in rows], lambda version: (version.version,))

    return router
