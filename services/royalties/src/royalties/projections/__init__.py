"""The read models of royalties. Every table can be dropped and rebuilt from the log. queries.py asks them."""

from royalties.projections.distributions import Distributions, Payees
from royalties.projections.ledger import ArtistEarnings, Balances
from royalties.projections.payments import Payouts, Royalties
from royalties.projections.pools import RevenuePools, TrackRevenue
from royalties.projections.reconciliations import Reconciliations
from royalties.projections.sales import Sales
from royalties.projections.splits import PlatformFees, Splits
from royalties.projections.statements import Statements

ALL = (
    Sales(),
    Royalties(),
    Payouts(),
    Splits(),
    PlatformFees(),
    Balances(),
    ArtistEarnings(),
    Statements(),
    Reconciliations(),
    RevenuePools(),
    TrackRevenue(),
    Distributions(),
    Payees(),
)

__all__ = [
    "ALL",
    "ArtistEarnings",
    "Balances",
    "Distributions",
    "Payees",
    "Payouts",
    "PlatformFees",
    "Reconciliations",
    "RevenuePools",
    "Royalties",
    "Sales",
    "Splits",
    "Statements",
    "TrackRevenue",
]
