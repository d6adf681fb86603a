"""What the tables of compliance share."""

from __future__ import annotations

from typing import Any, assert_never

import sqlalchemy as sa

from compliance.domain import IdentityNotVerified, IdentityVerified, RequestExtended, State
from contracts.chain import DocumentType, Source

metadata = sa.MetaData()
Time = sa.DateTime(timezone=True)


def place(prefix: str = "") -> list[sa.Column[Any]]:
    """Where on the chain a fact stands; empty for what came by API."""
    return [
        sa.Column(f"{prefix}block_number", sa.BigInteger),
        sa.Column(f"{prefix}tx_id", sa.Text),
        sa.Column(f"{prefix}log_index", sa.Integer),
    ]


def source_columns(source: Source | None, prefix: str = "") -> dict[str, Any]:
    if source is None:
        return {}
    place = {"block_number": source.block_number, "tx_id": source.tx_id, "log_index": source.log_index}
    return {prefix + name: value for name, value in place.items()}


def slug(document_type: DocumentType) -> str:
    """A document type as the API names it: `artist-agreement`."""
    return document_type.label.replace("_", "-")


def step(event: IdentityVerified | IdentityNotVerified | RequestExtended) -> dict[str, Any]:
    """What a step that every kind of request knows changes in its row."""
    match event:
        case IdentityVerified():
            return {"state": State.VERIFIED.value, "identity": event.method.value}
        case IdentityNotVerified():
            return {"state": State.UNVERIFIED.value, "identity": event.reason.value}
        case RequestExtended():
            return {"extension": event.reason.value, "due_at": event.due_at}
        case never:
            assert_never(never)
