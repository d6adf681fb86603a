"""Claims, totals and pools."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Literal

from pydantic import AwareDatetime, BaseModel, Field

from contracts.values import Address, Amount, Hash, SignedAmount, SubjectId
from eventlog import Intent
from rewards import claiming, domain, projections, queries
from rewards.api.common import Anybody, Officer, Owner, PoolName, User
from rewards.domain.pools import POOLS
from rewards.rulebook import Rules
from service import (
    After,
    Caller,
    Commands,
    IdempotencyKey,
    Page,
    Paging,
    Problem,
    Queries,
    Recorded,
    Router,
    Strict,
    Tagged,
    known_as,
    may_act_for,
    may_see,
    may_see_named,
    metadata_of,
    not_found,
    sees,
    sees_named,
)

TITLES = {
    "claim-conflict": "The claim was made before, with other contents.",
    "balance-too-small": "That much is not there to be claimed.",
    "balance-negative": "Corrections took more than was left.",
    "held-for-review": "The rewards wait for a review.",
    "user-daily-limit": "The user's limit for this day is reached.",
    "wallet-daily-limit": "The address's limit for this day is reached.",
    "pool-inactive": "The pool pays nothing at present.",
    "budget-exhausted": "The pool's budget for this period is exhausted.",
    "vault-exhausted": "The pool holds too little.",
    "amount-zero": "There is nothing to pay.",
    "nothing-to-repeat": "There is no payment that has failed.",
    "too-late": "The claim can't be paid any more.",
}
UNPROCESSABLE = {"amount-zero", "balance-too-small"}
"""What is wrong with the request itself; the others conflict with how things stand, and may be repeated later."""


class ClaimRequest(Strict):
    """What to pay, and to which address. The Idempotency-Key names the claim: the same again has the same answer."""

    user: SubjectId
    pool: PoolName
    claimant: Address = Field(description="the address that is paid")
    amount: Amount = Field(description="in 10^-18 DCMX")
    payer: Literal["service", "claimant"] = Field(
        "service", description="whose transaction brings the claim to the vault; the claimant's needs the authorisation"
    )


class Claimed(BaseModel):
    claim_id: str
    events: int = Field(description="Events recorded; 0 when the claim was made before.")
    token: str | None = None


class Claim(BaseModel):
    claim_id: str
    user: str | None = Field(description="null where it is proven, or another service had it authorised")
    pool: str
    claimant: str
    amount: Amount
    payer: str | None
    status: Literal["reserved", "authorised", "proven", "sent", "failed", "paid", "released"]
    reason: str | None = Field(description="why it is not paid")
    since: datetime
    deadline: int | None = Field(description="last second (Unix time) at which the vault pays")
    rule_version: int | None
    day: int | None
    paid_at: datetime | None
    block_number: int | None
    tx_id: str | None
    log_index: int | None


class Step(BaseModel):
    step: str
    at: datetime
    reason: str | None
    tx_id: str | None


class ClaimStory(Claim):
    steps: list[Step] = Field(description="from the wish to the payment, or to why there was none")


class Authorisation(BaseModel):
    """The arguments of RewardVault's `payClaim`, which anybody may call; `claim` takes the same without claimant."""

    vault_method: str = "payClaim"
    claim_id: str
    pool: int
    claimant: str
    amount: Amount
    deadline: int
    signature: str


class Total(BaseModel):
    subject: str
    pool: str
    earned: Amount
    times_earned: int
    held: Amount
    corrected: SignedAmount
    times_refused: int
    paid: Amount
    times_paid: int


class PoolStatus(BaseModel):
    pool: str
    active: bool
    daily_limit: Amount
    funded: Amount
    paid: Amount
    swept: Amount
    batched: Amount = Field(description="set aside for batches, less what came back")
    balance: SignedAmount = Field(description="below zero while a claim was seen before the funding that paid it")
    reserved: Amount = Field(description="for claims on their way")
    free: Amount | None = Field(description="of the period's budget; null before the first claim")
    period_ends: date | None = Field(description="the first day after the period that was opened last")
    claims: int
    last_tx_id: str | None


class Day(BaseModel):
    """All users together. What is earned on a day is mostly paid on a later one, or never claimed."""

    pool: str
    day: date = Field(description="UTC: of the activities, and of the payments")
    earned: SignedAmount = Field(description="with corrections")
    times_earned: int
    paid: Amount
    times_paid: int


class Budget(BaseModel):
    """A period; always paid + reserved + free + lapsed + handed_on = budget."""

    pool: str
    starts: date
    ends: date
    budget: Amount
    paid: Amount
    reserved: Amount
    free: Amount
    lapsed: Amount = Field(description="left over, and gone")
    handed_on: Amount = Field(description="to the next period: carried over, or reserved")
    carried: Amount = Field(description="of the budget: left over by the period before")
    rule_version: int


def routes(commands: Commands, reads: Queries, rules: Rules) -> Router:
    router = Router(route_class=Tagged)

    @router.post("/claims", summary="Have rewards paid")
    async def claim(body: ClaimRequest, caller: User, key: IdempotencyKey) -> Claimed:
        may_act_for(caller, body.user)
        pool, claim_id = POOLS[body.pool], claiming.claim_id_of(key)
        terms = (body.user, pool, body.claimant, body.amount, body.payer)
        now, book = datetime.now(UTC), await rules.recent()
        command = domain.RequestClaim(claim_id, *terms, now, domain.pool_rule(book[pool].at(now)))
        try:
            intent = claiming.request(command, metadata_of(caller, key))
            done = await commands.execute_together(intent, claiming.budget_stream(pool))
        except domain.ClaimRefused as refused:
            status = 422 if refused.code in UNPROCESSABLE else 409
            raise Problem(status, refused.code, TITLES[refused.code], str(refused), claim_id=claim_id) from None
        return Claimed(claim_id=claim_id, events=done.events, token=done.token)

    @router.get("/claims", summary="Claims, newest first")
    async def list_claims(caller: Owner, paging: Paging, after: After, subject: SubjectId | None = None) -> Page[Claim]:
        """Of a subject, or of a wallet."""
        await may_see_named(caller, subject, reads)
        await reads.caught_up(after, projections.RewardClaims)
        rows = await reads.all(queries.claims(subject, paging.after(AwareDatetime, str), paging.limit + 1))
        claims = [Claim(**row) for row in rows]
        return paging.page(claims, lambda claim: (claim.since, claim.claim_id))

    @router.get("/claims/{claim_id}", summary="A claim, each step of it, and why it was not paid")
    async def get_claim(claim_id: str, caller: Owner, after: After) -> ClaimStory:
        """Who claims by proof, or on the chain alone, is known by nothing but its address: anybody may see that."""
        await reads.caught_up(after, projections.RewardClaims)
        claim = await commands.state(claiming.claim_stream(claim_id), domain.claim)
        if not await _may_be_told(claim, caller, reads):
            raise not_found("claim", claim_id)
        found = await reads.one(queries.claim(claim_id), "claim", claim_id)
        return ClaimStory(**found, steps=[Step(**step) for step in await reads.all(queries.steps(claim_id))])

    @router.get("/claims/{claim_id}/authorisation", summary="What a claimant's own wallet needs to bring the claim")
    async def get_authorisation(claim_id: str, caller: User) -> Authorisation:
        signed = await commands.state(claiming.claim_stream(claim_id), domain.claim)
        if signed.authorised is None or signed.authorised.payer != "claimant":
            raise Problem(404, "not-authorised", "There is no authorisation for a claimant's own transaction.")
        may_see(caller, signed.authorised.user)
        fields = ("claim_id", "pool", "claimant", "amount", "deadline", "signature")
        return Authorisation(**{name: getattr(signed.authorised, name) for name in fields})

    @router.post("/claims/{claim_id}/payment", summary="Ask the chain again for a payment that has failed")
    async def repeat_payment(claim_id: Hash, caller: Officer, key: IdempotencyKey) -> Recorded:
        now, stream = datetime.now(UTC), claiming.claim_stream(claim_id)
        intent = Intent(stream, domain.claim, domain.RepeatPayment(now), now, metadata_of(caller, key))
        try:
            return await commands.execute([intent])
        except domain.ClaimRefused as refused:
            raise Problem(409, refused.code, TITLES[refused.code], str(refused)) from None

    @router.get("/totals/{subject}", summary="What a user or address has earned and been paid")
    async def totals(subject: SubjectId, caller: Owner, after: After) -> list[Total]:
        await may_see_named(caller, subject, reads)
        await reads.caught_up(after, projections.RewardTotals)
        return [Total(**row) for row in await reads.all(queries.totals(subject))]

    @router.get("/pools", summary="The state of every pool")
    async def pools(caller: Anybody, after: After) -> list[PoolStatus]:
        await reads.caught_up(after, projections.PoolStatus)
        return [PoolStatus(**row) for row in await reads.all(queries.pool_status())]

    @router.get("/pools/{pool}/days", summary="What all users together earned and were paid, newest day first")
    async def days(pool: PoolName, caller: Anybody, paging: Paging, after: After) -> Page[Day]:
        await reads.caught_up(after, projections.RewardTotals)
        key = paging.after(date)
        rows = await reads.all(queries.pool_days(pool, key[0] if key else None, paging.limit + 1))
        return paging.page([Day(**row) for row in rows], lambda day: (day.day,))

    @router.get("/pools/{pool}/budgets", summary="A pool's periods, newest first")
    async def budgets(pool: PoolName, caller: Anybody, paging: Paging, after: After) -> Page[Budget]:
        await reads.caught_up(after, projections.PoolStatus)
        key = paging.after(date)
        rows = await reads.all(queries.pool_budgets(pool, key[0] if key else None, paging.limit + 1))
        return paging.page([Budget(**row) for row in rows], lambda budget: (budget.starts,))

    return router


async def _may_be_told(claim: domain.Claim, caller: Caller, reads: Queries) -> bool:
    """Whose a claim is its own events say, before its row is asked for."""
    if (first := claim.reserved or claim.paid) is None:
        return False
    if (user := getattr(first, "user", None)) is not None:
        return await sees_named(caller, user, reads) or await sees_named(caller, first.claimant, reads)
    sees(caller, first.claimant)
    known_as(first.claimant)
    return True
