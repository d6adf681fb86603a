"""Who is known: asked for by subjects, found out by a provider, decided by officers, seen by nobody else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends
from pydantic import AwareDatetime, BaseModel, Field, SecretStr

from compliance import domain, handlers, projections, queries
from compliance.api.common import Officer, Provider, Reviewer, Subject, asking
from contracts.values import Hash, SubjectId
from privacy import Personal, Sealed, Vault
from service import (
    After,
    Caller,
    Commands,
    IdempotencyKey,
    Page,
    Paging,
    Queries,
    Recorded,
    Router,
    Strict,
    Tagged,
    may_act_for,
    may_see,
    require,
)

FIELD = "screening"
MakeStep = Callable[[datetime], domain.KycCommand]
"""Makes a command, at a time."""

Known = Annotated[Caller, Depends(require("user", "artist", "officer", "admin", personal=True))]
Level = Annotated[int, Field(ge=1, le=3, strict=True)]
Opaque = Annotated[str, Field(pattern=r"^[A-Za-z0-9._:/-]{1,200}$")]


class KycRequest(Strict):
    subject: SubjectId
    level: Level


class Details(Strict):
    """What a screening found. Evidence stays with the provider: its reference and its hash."""

    evidence: Opaque
    evidence_hash: Hash
    findings: list[domain.Finding] = Field(max_length=20)


class Screening(Details):
    """What a provider reports."""

    screening_id: Opaque
    subject: SubjectId


class Rejection(Strict):
    reason: domain.RejectionReason


class KycStatus(BaseModel):
    """The state as of now; of an approval, its level and until when it lasts."""

    subject: str
    state: domain.KycState
    level: int
    changed_at: datetime
    expires_at: datetime | None
    rejection: str | None


class KycCase(KycStatus):
    """What officers see, too; `details` are gone once the subject is erased."""

    provider: str | None
    details: Details | None
    risk_score: int | None
    risk_rule: int | None
    screen_again_at: datetime | None


def routes(commands: Commands, reads: Queries, vault: Vault, signed: Callable[..., Awaitable[None]]) -> Router:
    router = Router(route_class=Tagged)

    async def cases(query: queries.Query) -> list[KycCase]:
        rows = await reads.all(query)
        sealed = [Sealed(row["subject"], FIELD, row["box"]) for row in rows if row["box"] is not None]
        opened = {box.subject: clear for box, clear in zip(sealed, await vault.open(sealed), strict=True) if clear}
        return [KycCase(**row, details=_details(opened.get(row["subject"]))) for row in rows]

    async def step(command: str, subject: str, caller: Caller, key: str, make: MakeStep) -> Recorded:
        async with asking(commands, command, subject, caller, key) as ask:
            return await commands.execute([handlers.kyc(make(ask.at), ask.metadata)])

    @router.post("/kyc", summary="Ask to be known")
    async def start_kyc(body: KycRequest, caller: Subject, key: IdempotencyKey) -> Recorded:
        may_act_for(caller, body.subject)
        return await step(
            "start-kyc", body.subject, caller, key, lambda at: domain.StartKyc(body.subject, body.level, at)
        )

    @router.post("/kyc-screenings", summary="Report a signed screening", dependencies=[Depends(signed)])
    async def report_screening(body: Screening, caller: Provider) -> Recorded:
        details = Details(**body.model_dump(include=set(Details.model_fields)))
        [sealed] = await vault.seal([Personal(body.subject, FIELD, SecretStr(details.model_dump_json()))])
        found = (body.screening_id, sealed, tuple(body.findings))
        key = f"{caller.subject}/{body.screening_id}"
        return await step(
            "report-screening",
            body.subject,
            caller,
            key,
            lambda at: domain.ReportScreening(body.subject, caller.subject, *found, at),
        )

    @router.get("/kyc-screenings", summary="Who has to be screened again, due first")
    async def list_screenings(caller: Reviewer, paging: Paging, after: After) -> Page[KycCase]:
        may_see(caller, None)
        await reads.caught_up(after, projections.KycCases)
        seen = paging.after(AwareDatetime, str)
        found = await cases(queries.screenings_due(datetime.now(UTC), seen, paging.limit + 1))
        return paging.page(found, lambda case: (case.screen_again_at, case.subject))

    @router.get("/kyc", summary="Cases in a state, longest there first")
    async def list_cases(
        caller: Reviewer, paging: Paging, after: After, state: domain.KycState = domain.KycState.IN_REVIEW
    ) -> Page[KycCase]:
        may_see(caller, None)
        await reads.caught_up(after, projections.KycCases)
        seen = paging.after(AwareDatetime, str)
        found = await cases(queries.kyc_in(state, datetime.now(UTC), seen, paging.limit + 1))
        return paging.page(found, lambda case: (case.changed_at, case.subject))

    @router.get("/kyc/{subject}", summary="Whether a subject is known")
    async def get_kyc(subject: SubjectId, caller: Known, after: After) -> KycStatus:
        may_see(caller, subject)
        await reads.caught_up(after, projections.KycCases)
        return KycStatus(**await reads.one(queries.kyc_of(subject, datetime.now(UTC)), "case of", subject))

    @router.post("/kyc/{subject}/approve", summary="Approve a reviewed case")
    async def approve_kyc(subject: SubjectId, caller: Officer, key: IdempotencyKey) -> Recorded:
        return await step("approve-kyc", subject, caller, key, lambda at: domain.ApproveKyc(subject, at))

    @router.post("/kyc/{subject}/reject", summary="Reject a case")
    async def reject_kyc(subject: SubjectId, body: Rejection, caller: Officer, key: IdempotencyKey) -> Recorded:
        return await step("reject-kyc", subject, caller, key, lambda at: domain.RejectKyc(subject, body.reason, at))

    return router


def _details(clear: SecretStr | None) -> Details | None:
    return None if clear is None else Details.model_validate_json(clear.get_secret_value())
