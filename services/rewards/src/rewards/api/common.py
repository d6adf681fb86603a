"""What all requests and answers of rewards share."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import Depends
from pydantic import AwareDatetime, BeforeValidator, Field

from contracts.chain import Pool
from rewards.domain.pools import POOLS
from service import Caller, Problem, require


def _time(value: object) -> datetime:
    if not isinstance(value, str):  # pydantic would take a number for the seconds, or milliseconds, since 1970
        raise ValueError("expected a time in ISO 8601")
    return datetime.fromisoformat(value)


Moment = Annotated[AwareDatetime, BeforeValidator(_time)]
User = Annotated[Caller, Depends(require("user", "service", "admin", personal=True))]
Owner = Annotated[Caller, Depends(require("user", "support", "officer", "auditor", "admin", "service", personal=True))]
Reporter = Annotated[Caller, Depends(require("service", "admin"))]
Officer = Annotated[Caller, Depends(require("officer", "admin"))]
Reviewer = Annotated[Caller, Depends(require("officer", "admin", personal=True))]
Relay = Annotated[Caller, Depends(require("user", "officer", "admin", "service"))]
Anybody = Annotated[Caller, Depends(require("user", "support", "officer", "auditor", "admin", "service"))]
Reason = Annotated[str, Field(min_length=1, max_length=500)]
PoolName = Literal["sharing", "listening", "bandwidth", "voting", "referral"]


def kind_named(name: str) -> Pool:
    """Raises Problem 404."""
    if name not in POOLS:
        known = ", ".join(sorted(POOLS))
        raise Problem(404, "not-found", "There is no such kind of reward.", f"Expected one of {known}.")
    return POOLS[name]
