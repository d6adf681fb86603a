"""A personal value before and after it is sealed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import SecretStr, StringConstraints, TypeAdapter

from contracts.values import SubjectId

SUBJECT_IDS: TypeAdapter[str] = TypeAdapter(SubjectId)
"""Tells whether a text can be a subject's id."""

FieldName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,59}$")]
"""What a value is: `email`, `reason`."""


@dataclass(frozen=True, slots=True)
class Personal:
    """A value that tells something of a person. It shows in no log line and no repr, and no event can hold it."""

    subject: SubjectId
    field: FieldName
    value: SecretStr


@dataclass(frozen=True, slots=True)
class Sealed:
    """A personal value as events and tables hold it: the key of its subject opens it, and nothing once that is gone.

    An event about two people has a value of each. Subject and field are authenticated, so that a box can't be passed
    off as another's.
    """

    subject: SubjectId
    field: FieldName
    box: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9+/]{38,}={0,2}$")]
    """AES-256-GCM, in base64: a nonce of 12 bytes, the ciphertext, a tag of 16."""
