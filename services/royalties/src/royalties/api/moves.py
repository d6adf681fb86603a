"""What parties are owed off the chain, on its way to them: reserved, then posted, voided, or expired."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

import sqlalchemy as sa
from pydantic import Field

from contracts.sales import AssetName
from contracts.values import Amount, SubjectId
from eventlog import Intent
from royalties import domain, projections
from royalties.api.common import InAsset, Moment, Owner, Position, Reason, Reporter, refusals
from royalties.domain import Reference
from royalties.domain.books import paid_out
from royalties.moving import Reserving, moves_stream
from royalties.projections.agreements import scale_of
from royalties.projections.moves import reserved_moves
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
    may_see_named,
    metadata_of,
)


class NewMove(Strict):
    """Named by its `move_id`: reserving it again changes nothing."""

    move_id: SubjectId
    account: Literal["earnings", "seller"] = Field("earnings", description="What the party is owed as.")
    means: SubjectId = Field(description="How it is paid, such as a bank or a payment provider.")
    asset: AssetName
    amount: Amount
    expires_at: Moment = Field(description="From then on it can't be posted: what is reserved is the party's again.")


class Posting(Strict):
    amount: Amount | None = Field(None, description="What was paid of what is reserved; null: all.")


class Voiding(Strict):
    reason: Reason


class MoveState(InAsset):
    caller: str
    move_id: str
    position: int
    reserved_at: datetime
    expires_at: datetime
    account: str
    to: str
    amount: Amount
    status: Literal["reserved", "posted", "voided", "expired"]
    posted: Amount | None
    reason: str | None
    ended_at: datetime | None


def routes(commands: Commands, reserving: Reserving, reads: Queries) -> Router:
    router = Router(route_class=Tagged)

    async def ended(party: str, command: domain.PostMove | domain.VoidMove, caller: Caller, key: str) -> Recorded:
        intent = Intent(moves_stream(party), domain.moves, command, datetime.now(UTC), metadata_of(caller, key))
        with refusals():
            return await commands.execute([intent])

    @router.post("/parties/{party}/moves", summary="Reserve of what a party is owed off the chain, to pay it")
    async def reserve(party: SubjectId, body: NewMove, caller: Reporter, key: IdempotencyKey) -> Recorded:
        wanted = domain.ReserveMove(
            Reference(caller.subject, body.move_id),
            party,
            f"{body.account}:{party}",
            paid_out(body.means),
            body.asset,
            body.amount,
            body.expires_at.astimezone(UTC),
        )
        with refusals():
            return await reserving.reserve(wanted, datetime.now(UTC), metadata_of(caller, key))

    @router.post("/parties/{party}/moves/{move_id}/post", summary="What was reserved is paid; the rest goes back")
    async def post(
        party: SubjectId, move_id: SubjectId, body: Posting, caller: Reporter, key: IdempotencyKey
    ) -> Recorded:
        command = domain.PostMove(Reference(caller.subject, move_id), datetime.now(UTC), body.amount)
        return await ended(party, command, caller, key)

    @router.post("/parties/{party}/moves/{move_id}/void", summary="What was reserved is not paid, and goes back")
    async def void(
        party: SubjectId, move_id: SubjectId, body: Voiding, caller: Reporter, key: IdempotencyKey
    ) -> Recorded:
        return await ended(party, domain.VoidMove(Reference(caller.subject, move_id), body.reason), caller, key)

    @router.get("/parties/{party}/moves", summary="What was reserved to be paid to a party, newest first")
    async def of_party(party: SubjectId, caller: Owner, paging: Paging, after: After) -> Page[MoveState]:
        await may_see_named(caller, party, reads)
        await reads.caught_up(after, projections.Moves)
        table = projections.Moves.live(reserved_moves)
        query = sa.select(table, scale_of(table.c.asset)).where(table.c.party == party)
        if (seen := paging.after(Position)) is not None:
            query = query.where(table.c.position < seen[0])
        rows = await reads.all(query.order_by(table.c.position.desc()).limit(paging.limit + 1))
        return paging.page([MoveState(**row) for row in rows], lambda move: (move.position,))

    return router
