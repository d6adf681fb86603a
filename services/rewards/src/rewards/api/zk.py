"""Listening that is proven in zero knowledge: members, and what a listener's own client needs to prove a claim."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import Path
from pydantic import AfterValidator, BaseModel, Field

from contracts.activity import Hex32
from contracts.chain import Pool
from contracts.values import Amount, SubjectId
from eventlog import Intent
from rewards import domain
from rewards.api.common import Anybody, Officer, User
from rewards.members import member_stream, register
from rewards.periods import Periods, PeriodsError, Tree, operation_of, period_stream
from rewards.rulebook import Rules
from service import (
    Commands,
    IdempotencyKey,
    Problem,
    Recorded,
    Router,
    Strict,
    Tagged,
    may_act_for,
    may_see,
    metadata_of,
)
from service.queries import not_found
from zk.claims import FIELD

TITLES = {
    "period-committed": "The period was committed to, on other terms.",
    "period-not-over": "Activities of the period may still come.",
    "period-empty": "No member has listened in the period.",
    "deadline-past": "The deadline is past.",
}


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


def _is_period(number: int) -> int:
    domain.first_day(number)
    return number


PeriodNumber = Annotated[int, Path(ge=197_001, le=999_953), AfterValidator(_is_period)]


class PeriodTerms(Strict):
    """What whoever proves to have listened long enough is paid. The same for all, or it would tell who it is."""

    threshold: int = Field(ge=1, lt=2**32, strict=True, description="seconds of rewarded listening")
    amount: Amount = Field(gt=0, lt=2**120, description="in 10^-18 DCMX")
    deadline: int = Field(ge=0, lt=2**63, strict=True, description="last second (Unix time) at which the vault pays")


class ListeningPeriod(BaseModel):
    period: int = Field(description="year and ISO week")
    starts: date
    ends: date = Field(description="the first day after it")
    status: Literal["committed", "failed", "opened", "closed"] = Field(
        description="opened and closed are the chain's word; after failed the same commitment asks it again"
    )
    reason: str | None = Field(description="why the chain did not open it")
    commitment: str
    threshold: int
    amount: Amount
    deadline: int
    members: int = Field(description="with a record: among so many a claimant is one of those with enough seconds")
    operation_id: str = Field(description="of the chain service, which opens the period")


class Committed(BaseModel):
    commitment: str
    members: int
    events: int = Field(description="Events recorded; 0 when it was committed to before.")
    token: str | None = None


class OwnRecord(BaseModel):
    """With the secret, the recipient and the period's tree it is all that a claim is proven with."""

    member: str
    seconds: int


def routes(commands: Commands, periods: Periods, rules: Rules) -> Router:
    router = Router(route_class=Tagged)

    @router.post("/users/{user}/members", summary="Register the member that a user's client has made of its secret")
    async def register_member(user: SubjectId, body: Membership, caller: User, key: IdempotencyKey) -> Recorded:
        may_act_for(caller, user)
        command = domain.RegisterMember(user, body.member, datetime.now(UTC))
        try:
            return await commands.execute([register(command, metadata_of(caller, key))])
        except domain.MemberRefused as refused:
            raise Problem(409, "member-taken", "This member is another user's.", str(refused)) from None

    @router.get("/users/{user}/members", summary="A user's members; of those that begin in time the last one counts")
    async def list_members(user: SubjectId, caller: User) -> list[Registration]:
        may_see(caller, user)
        found = await commands.state(member_stream(user), domain.member)
        return [Registration(member=one.member, since=one.since) for one in found]

    @router.post("/periods/{period}/commitment", summary="Commit to what was heard in a week, and have it opened")
    async def commit(period: PeriodNumber, body: PeriodTerms, caller: Officer, key: IdempotencyKey) -> Committed:
        terms = domain.Terms(body.threshold, body.amount, body.deadline)
        now, book = datetime.now(UTC), await rules.recent()
        longest_wait = timedelta(seconds=book[Pool.LISTENING].at(now).rule.longest_wait_seconds)
        before = await commands.state(period_stream(period), domain.period)
        try:
            command: domain.PeriodCommitted | domain.RepeatOpening = domain.RepeatOpening(now)
            if domain.check_period(period, terms, before, now, longest_wait):
                command = await periods.commit(period, terms)
            intent = Intent(period_stream(period), domain.period, command, now, metadata_of(caller, key))
            recorded = await commands.execute([intent])
        except domain.PeriodRefused as refused:
            raise Problem(409, refused.code, TITLES[refused.code], str(refused)) from None
        except PeriodsError as error:
            raise Problem(503, "no-prover", "This process can't commit to periods.", str(error)) from None
        made = await _committed(commands, period)
        return Committed(commitment=made.commitment, members=made.count, events=recorded.events, token=recorded.token)

    @router.get("/periods/{period}", summary="A listening period, on which terms, and whether the vault pays")
    async def show(period: PeriodNumber, caller: Anybody) -> ListeningPeriod:
        made, state = await _committed(commands, period), await commands.state(period_stream(period), domain.period)
        return ListeningPeriod(
            period=period,
            starts=domain.first_day(period),
            ends=domain.first_day(period) + timedelta(days=7),
            status=_status(state),
            reason=None if (failed := state.failure) is None else f"{failed.kind}: {failed.reason}",
            commitment=made.commitment,
            threshold=made.terms.threshold,
            amount=made.terms.amount,
            deadline=made.terms.deadline,
            members=made.count,
            operation_id=operation_of(period, made.attempt),
        )

    @router.get("/periods/{period}/tree", summary="The whole tree, in which a client finds its own path by itself")
    async def show_tree(period: PeriodNumber, caller: Anybody) -> dict[str, Any]:
        return (await _tree(commands, periods, period)).commitment.to_dict()

    @router.get("/users/{user}/listening-periods/{period}", summary="What a user's member has heard in a period")
    async def own_record(user: SubjectId, period: PeriodNumber, caller: User) -> OwnRecord:
        may_see(caller, user)
        tree = await _tree(commands, periods, period)
        if (heard := tree.records.get(user)) is None:
            raise not_found("record", f"{user} in {period}")
        return OwnRecord(member=heard.member, seconds=heard.seconds)

    return router


def _status(period: domain.Period) -> Literal["committed", "failed", "opened", "closed"]:
    if period.is_closed:
        return "closed"
    if period.opened is not None:
        return "opened"
    return "committed" if period.failure is None else "failed"


async def _committed(commands: Commands, period: int) -> domain.PeriodCommitted:
    """Raises Problem 404."""
    made = (await commands.state(period_stream(period), domain.period)).committed
    if made is None:
        raise not_found("commitment of period", str(period))
    return made


async def _tree(commands: Commands, periods: Periods, period: int) -> Tree:
    """Raises Problem 404, 503."""
    try:
        return await periods.tree(await _committed(commands, period))
    except PeriodsError as error:
        raise Problem(503, "no-prover", "This process can't make the tree.", str(error)) from None
