"""The read models of royalties. Every table can be dropped and rebuilt from the log. queries.py asks them."""

from royalties.projections.agreements import Agreements, Terms
from royalties.projections.closing import Closings
from royalties.projections.distributions import Distributions, Payees
from royalties.projections.entries import Entries
from royalties.projections.ledger import ArtistEarnings, Balances, PlatformIncome
from royalties.projections.payments import Payouts, Royalties
from royalties.projections.platform_sales import PlatformSales
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
    Terms(),
    Agreements(),
    PlatformSales(),
    Balances(),
    Entries(),
    ArtistEarnings(),
    PlatformIncome(),
    Statements(),
    Reconciliations(),
    RevenuePools(),
    TrackRevenue(),
    Distributions(),
    Payees(),
    Closings(),
)

__all__ = [
    "ALL",
    "Agreements",
    "ArtistEarnings",
    "Balances",
    "Closings",
    "Distributions",
    "Entries",
    "Payees",
    "Payouts",
    "PlatformFees",
    "PlatformIncome",
    "PlatformSales",
    "Reconciliations",
    "RevenuePools",
    "Royalties",
    "Sales",
    "Splits",
    "Statements",
    "Terms",
    "TrackRevenue",
]
