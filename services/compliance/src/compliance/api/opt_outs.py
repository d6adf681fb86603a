"""What subjects do not want done with their data."""

from __future__ import annotations

from pydantic import BaseModel, Field

from compliance import domain, handlers
from compliance.api.common import Owner, Requester, asking
from contracts.values import SubjectId
from service import Caller, Commands, IdempotencyKey, Recorded, Router, may_act_for, may_see


class OptOuts(BaseModel):
    """All that the subject has opted out of, as the log has it now."""

    subject: str
    out_of: list[domain.Use] = Field(description="in the order of their names")


class OptOut(BaseModel):
    subject: str
    use: domain.Use
    opted_out: bool


def routes(commands: Commands) -> Router:
    router = Router()

    async def chosen(command: str, choice: domain.OptedOut | domain.OptedIn, caller: Caller, key: str) -> Recorded:
        may_act_for(caller, choice.subject)
        async with asking(commands, command, choice.subject, caller, key) as ask:
            return await commands.execute([handlers.opt_out(choice, ask.at, ask.metadata)])

    async def out_of(subject: str) -> frozenset[domain.Use]:
        return await commands.state(handlers.opt_out_stream(subject), domain.opt_outs)

    @router.put("/subjects/{subject}/opt-outs/{use}", summary="Opt out of a use of one's data")
    async def opt_out(subject: SubjectId, use: domain.Use, caller: Requester, key: IdempotencyKey) -> Recorded:
        return await chosen("opt-out", domain.OptedOut(subject, use), caller, key)

    @router.delete("/subjects/{subject}/opt-outs/{use}", summary="Take an opting out back")
    async def opt_in(subject: SubjectId, use: domain.Use, caller: Requester, key: IdempotencyKey) -> Recorded:
        return await chosen("opt-in", domain.OptedIn(subject, use), caller, key)

    @router.get("/subjects/{subject}/opt-outs", summary="What a subject has opted out of")
    async def get_opt_outs(subject: SubjectId, caller: Owner) -> OptOuts:
        may_see(caller, subject)
        return OptOuts(subject=subject, out_of=sorted(await out_of(subject)))

    @router.get("/subjects/{subject}/opt-outs/{use}", summary="Whether a subject has opted out of a use")
    async def has_opted_out(subject: SubjectId, use: domain.Use, caller: Owner) -> OptOut:
        may_see(caller, subject)
        return OptOut(subject=subject, use=use, opted_out=use in await out_of(subject))

    return router
