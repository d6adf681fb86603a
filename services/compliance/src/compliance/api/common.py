"""What all requests and answers of compliance share. Texts are codes, hashes and opaque ids: nothing is personal."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from typing import Annotated, Any, TypeVar

from fastapi import Depends
from pydantic import BaseModel, BeforeValidator, Field, WithJsonSchema

from compliance import domain, handlers
from contracts.chain import DocumentType
from eventlog import Metadata
from service import Caller, Commands, CurrentCaller, Paging, Problem, metadata_of, require

Subject = Annotated[Caller, Depends(require("user", "artist", "admin", "service", personal=True))]
Requester = Annotated[Caller, Depends(require("user", "artist", "officer", "admin", "service", personal=True))]
Correspondent = Annotated[Caller, Depends(require("user", "artist", "officer", "admin", personal=True))]
Owner = Annotated[
    Caller, Depends(require("user", "artist", "support", "officer", "auditor", "admin", "service", personal=True))
]
Reader = Annotated[Caller, Depends(require("user", "artist", "support", "officer", "auditor", "admin", "service"))]
Officer = Annotated[Caller, Depends(require("officer", "admin"))]
Reviewer = Annotated[Caller, Depends(require("officer", "admin", personal=True))]
Auditor = Annotated[Caller, Depends(require("officer", "auditor", "admin", personal=True))]
Provider = Annotated[Caller, Depends(require("service"))]
Reporter = Annotated[Caller, Depends(require("officer", "admin", "service"))]
Platform = Annotated[Caller, Depends(require("service", personal=True))]
Overseer = Annotated[Caller, Depends(require("support", "officer", "auditor", "admin", "service", personal=True))]

E = TypeVar("E", bound=IntEnum)


def slugs(enum: type[E]) -> dict[str, E]:
    """The members of an enumeration by the names that the API gives them: `artist-agreement`."""
    return {member.name.lower().replace("_", "-"): member for member in enum}


def by_slug(enum: type[E]) -> tuple[BeforeValidator, WithJsonSchema]:
    known = slugs(enum)

    def member(value: Any) -> E:
        if not isinstance(value, str) or value not in known:
            raise ValueError(f"expected one of {', '.join(known)}")
        return known[value]

    return BeforeValidator(member), WithJsonSchema({"type": "string", "enum": list(known)})


VersionNumber = Annotated[int, Field(ge=1, lt=2**32, strict=True)]
DocumentName = Annotated[DocumentType, *by_slug(DocumentType)]


class OnChain(BaseModel):
    """Where on the chain the fact stands; null for what came by API."""

    block_number: int | None
    tx_id: str | None
    log_index: int | None


async def _named_type(document_type: str, caller: CurrentCaller) -> DocumentType:  # who asks comes first: 401, then 404
    known = slugs(DocumentType)
    if document_type not in known:
        raise Problem(404, "not-found", "There is no such document type.", f"Expected one of {', '.join(known)}.")
    return known[document_type]


NamedType = Annotated[DocumentType, Depends(_named_type)]


@dataclass(frozen=True, slots=True)
class Asked:
    """A command on its way: when it was asked, and what its events will say of it."""

    at: datetime
    key: str
    metadata: Metadata


@asynccontextmanager
async def asking(
    commands: Commands, command: str, subject: str | None, caller: Caller, key: str
) -> AsyncIterator[Asked]:
    """The clock of commands is read here and nowhere else. A refusal is put on record, then answered."""
    ask = Asked(datetime.now(UTC), key, metadata_of(caller, key))
    try:
        yield ask
    except domain.Refusal as refusal:
        refused = domain.CommandRefused(command, subject, refusal.code)
        await commands.execute([handlers.refused(refused, ask.at, key, ask.metadata)])
        status = 404 if isinstance(refusal, domain.NotOnRecord) else 409
        problem = Problem(status, refusal.code, refusal.title, str(refusal))
        problem.on_record = True
        raise problem from refusal


def before(paging: Paging) -> int | None:
    """The position after which a page of what is newest first goes on."""
    seen: int | None
    (seen,) = paging.after(int) or (None,)
    return seen
