"""Whose a wallet is: so that people see what is recorded under the wallets that they have proven, as under their ids.

A service that wants this hears `compliance.events`, has the events `privacy.WALLETS`, and feeds this read model.
"""

from __future__ import annotations

import sqlalchemy as sa

from eventlog import RecordedEvent
from privacy import SubjectErased
from privacy.wallets import WalletGivenUp, WalletProven
from projections import Projection, Rows, on
from service.access import OWN, known_as, may_see, sees
from service.auth import Caller
from service.queries import Queries

wallet_owners = sa.Table(
    "wallet_owners",
    sa.MetaData(),
    sa.Column("address", sa.Text, primary_key=True),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Index("wallet_owners_subject", "subject", "address"),
)


class WalletOwners(Projection):
    """The wallets that are somebody's now."""

    name = "wallet_owners"
    tables = (wallet_owners,)
    about = {wallet_owners: "subject"}  # noqa: RUF012 - a ClassVar of the base

    def key(self, recorded: RecordedEvent) -> str:
        event = recorded.event
        return f"wallet-owner/{event.subject if isinstance(event, SubjectErased) else event.address}"

    @on(WalletProven)
    def proven(self, event: WalletProven, recorded: RecordedEvent, rows: Rows) -> None:
        rows.upsert(wallet_owners, {"address": event.address}, subject=event.subject)

    @on(WalletGivenUp)
    def given_up(self, event: WalletGivenUp, recorded: RecordedEvent, rows: Rows) -> None:
        rows.delete(wallet_owners, {"address": event.address})

    @on(SubjectErased)
    def erased(self, event: SubjectErased, recorded: RecordedEvent, rows: Rows) -> None:
        rows.delete(wallet_owners, {"address": event.subject})  # an erasure is ordered of each wallet, too


async def sees_own(caller: Caller, reads: Queries) -> None:
    """For what is looked up by a key that doesn't tell whose it is: a user finds its own, under its id or a wallet's.

    Others find whatever there is, and are then asked by `sees_named` about whom it names.
    """
    if caller.roles <= OWN:
        table = WalletOwners.live(wallet_owners)
        sees(caller, caller.subject)
        found = await reads.all(sa.select(table.c.address).where(table.c.subject == caller.subject))
        known_as(*(row["address"] for row in found))


async def sees_named(caller: Caller, name: str | None, reads: Queries) -> bool:
    """`sees` for what is recorded under a name: an id, or an address, which its owner sees as its own."""
    if caller.roles <= OWN and name not in (None, caller.subject):
        table = WalletOwners.live(wallet_owners)
        sees(caller, caller.subject)  # the wallets that it looks for are its own
        if await reads.first(sa.select(table).where(table.c.address == name, table.c.subject == caller.subject)):
            known_as(str(name))
            return True
    return sees(caller, name)


async def may_see_named(caller: Caller, name: str | None, reads: Queries) -> None:
    """Raises Problem 403 unless the caller sees what is recorded under the name."""
    if not await sees_named(caller, name, reads):
        may_see(caller, name)
