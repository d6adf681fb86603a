"""Listening that is proven in zero knowledge: members, and what a listener's own client needs to prove a claim."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter
from pydantic import AfterValidator, BaseModel, Field

from contracts.activity import Hex32
from rewards import domain
from rewards.api.common import Strict, SubjectId, User, may_act_for
from rewards.members import member_stream, register
from service import Commands, IdempotencyKey, Problem, Recorded, metadata_of
from zk.claims import FIELD


def _in_field(member: str) -> str:
    if not 0 < int(member, 16) < FIELD:
        raise ValueError("expected a number above zero and below the order of BN254's scalar field")
    return member


Member = Annotated[Hex32, AfterValidator(_in_field)]


class Membership(Strict):
    member: Member = Field(description="H(secret) as `annals-prover secret` prints it, without 0x; not the secret")


class Registration(BaseModel):
    member: str
    since: int = Field(description="the first period it counts for: year and ISO week, 202645")


def routes(commands: Commands) -> APIRouter:
    router = APIRouter()

    @router.post("/users/{user}/members", summary="Register the member that a user's client has made of its secret")
    async def register_member(user: SubjectId, body: Membership, caller: User, key: IdempotencyKey) -> Recorded:
        may_act_for(caller, {user})
        command = domain.RegisterMember(user, body.member, datetime.now(UTC))
        try:
            return await commands.execute([register(command, metadata_of(caller, key))])
        except domain.MemberRefused as refused:
            raise Problem(409, "member-taken", "This member is another user's.", str(refused)) from None

    @router.get("/users/{user}/members", summary="A user's members; of those that begin in time the last one counts")
    async def list_members(user: SubjectId, caller: User) -> list[Registration]:
        may_act_for(caller, {user})
        found = await commands.state(member_stream(user), domain.member)
        return [Registration(member=one.member, since=one.since) for one in found]

    return router
