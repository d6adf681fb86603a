"""What the requests of all services are made of."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """A request's body: a field that nobody knows is refused, for it may be a misspelt one."""

    model_config = ConfigDict(extra="forbid", frozen=True)
