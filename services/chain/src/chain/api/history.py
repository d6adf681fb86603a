"""What happened on the chain: events, logs, transactions, and how much of it in each hour or day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from chain import queries
from chain.api import answers, operations
from chain.api.answers import Listing, Timeline, listing
from chain.api.parameters import Blocks, Name, Since, Until, User
from chain.projections import Activity, BlockchainEvents, TransactionIndex, UndecodedLogs
from chain.queries import Period
from contracts.values import Address, Hash
from service import After, Paging, Problem, Queries, Router, Tagged, not_found

STEPS: dict[Period, timedelta] = {"hour": timedelta(hours=1), "day": timedelta(days=1)}
PERIODS, MOST_PERIODS = 30, 100
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def routes(reads: Queries) -> Router:
    """Lists, newest first, with filters that all have to hold; and counts over time."""
    router = Router(route_class=Tagged)

    @router.get("/events", summary="Events of the contracts, newest first")
    async def list_events(
        caller: User,
        paging: Paging,
        blocks: Blocks,
        contract: Name | None = None,
        name: Name | None = None,
        address: Address | None = None,
        tx_id: Hash | None = None,
    ) -> Listing[answers.Event]:
        """`address`: of an account that the event names."""
        after, limit = paging.after(int, int), paging.limit + 1
        events = queries.events(blocks, after, limit, address=address, contract=contract, name=name, tx_id=tx_id)
        found = await reads.first(queries.answer(BlockchainEvents, events=events))
        shown = [answers.Event(**row) for row in found["events"]]
        return listing(paging, found, shown, lambda event: (event.block_number, event.log_index))

    @router.get("/undecoded-logs", summary="Logs that could not be decoded, newest first")
    async def list_undecoded(caller: User, paging: Paging) -> Listing[answers.UndecodedLog]:
        logs = queries.undecoded_logs(paging.after(int, int), paging.limit + 1)
        found = await reads.first(queries.answer(UndecodedLogs, logs=logs))
        shown = [answers.UndecodedLog(**row) for row in found["logs"]]
        return listing(paging, found, shown, lambda log: (log.block_number, log.log_index))

    @router.get("/transactions", summary="Transactions, newest first")
    async def list_transactions(
        caller: User,
        paging: Paging,
        blocks: Blocks,
        address: Address | None = None,
        contract: Name | None = None,
        method: Name | None = None,
        kind: Name | None = None,
        success: bool | None = None,
    ) -> Listing[answers.Transaction]:
        """`address`: of an account that has signed or received it. `contract`: that it called."""
        after, limit = paging.after(int, int), paging.limit + 1
        transactions = queries.transactions(
            blocks, after, limit, address=address, success=success, contract=contract, method=method, kind=kind
        )
        found = await reads.first(queries.answer(TransactionIndex, transactions=transactions))
        shown = [answers.Transaction(**row) for row in found["transactions"]]
        return listing(paging, found, shown, lambda one: (one.block_number, one.index_in_block))

    @router.get("/transactions/{name}", summary="A transaction by its id, or how far an operation has come, by its own")
    async def get_transaction(
        caller: User, name: Hash | UUID, after: After
    ) -> answers.TransactionDetail | operations.Operation:
        if isinstance(name, UUID):
            return await operations.shown(reads, name, caller, after)
        events = queries.events_of_transaction(name, answers.MOST_EVENTS)
        parts = {"transactions": queries.transaction(name), "events": events}
        found = await reads.first(queries.answer(TransactionIndex, BlockchainEvents, **parts))
        for row in found["transactions"]:
            return answers.TransactionDetail(**row, events=found["events"], as_of=found["as_of"])
        raise not_found("transaction", name)

    @router.get("/analytics/transactions", summary="Transactions and what they cost, by hour or by day")
    async def count_transactions(
        caller: User, by: Period = "day", since: Since = None, until: Until = None
    ) -> Timeline[answers.TransactionCount]:
        begin, end = _window(by, since, until)
        counts = queries.transactions_over_time(by, begin, end)
        found = await reads.first(queries.answer(Activity, counts=counts))
        return Timeline(by=by, since=begin, until=end, periods=found["counts"], as_of=found["as_of"])

    @router.get("/analytics/events", summary="Events by contract and name, by hour or by day")
    async def count_events(
        caller: User,
        by: Period = "day",
        since: Since = None,
        until: Until = None,
        contract: Name | None = None,
        name: Name | None = None,
    ) -> Timeline[answers.EventCount]:
        begin, end = _window(by, since, until)
        counts = queries.events_over_time(by, begin, end, contract=contract, name=name)
        found = await reads.first(queries.answer(Activity, counts=counts))
        return Timeline(by=by, since=begin, until=end, periods=found["counts"], as_of=found["as_of"])

    return router


def _window(by: Period, since: datetime | None, until: datetime | None) -> tuple[datetime, datetime]:
    """Whole periods: those that `since` and `until` lie in, or the last PERIODS. Raises Problem 422."""
    step = STEPS[by]
    end = _EPOCH + -((_EPOCH - (until or datetime.now(UTC))) // step) * step  # rounds up
    begin = end - PERIODS * step if since is None else _EPOCH + (since - _EPOCH) // step * step
    if not begin < end <= begin + MOST_PERIODS * step:
        detail = f"Expected 1 to {MOST_PERIODS} periods of one {by}, got {(end - begin) // step}."
        raise Problem(422, "unfit-period", "The period is empty or too long.", detail)
    return begin, end
