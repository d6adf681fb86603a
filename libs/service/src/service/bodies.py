"""What the requests of all services are made of."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

# An opaque id or a public address: no @, no spaces, so neither mail addresses nor names fit.
SubjectId = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9._:-]+$")]


class Strict(BaseModel):
    """A request's body: a field that nobody knows is refused, for it may be a misspelt one."""

    model_config = ConfigDict(extra="forbid", frozen=True)
