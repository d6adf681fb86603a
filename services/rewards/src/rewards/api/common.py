"""What all requests and answers of rewards share."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import Depends
from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from service import Caller, Problem, require


def _time(value: object) -> datetime:
    if not isinstance(value, str):  # pydantic would take a number for the seconds, or milliseconds, since 1970
        raise ValueError("expected a time in ISO 8601")
    return datetime.fromisoformat(value)


SubjectId = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9._:-]+$")]
Moment = Annotated[AwareDatetime, BeforeValidator(_time)]
User = Annotated[Caller, Depends(require("user", "service", "admin"))]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def may_act_for(caller: Caller, users: set[str]) -> None:
    if not caller.roles & {"service", "admin"} and users != {caller.subject}:
        raise Problem(403, "not-yourself", "A user may act for itself only.")
