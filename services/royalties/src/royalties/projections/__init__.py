"""The read models of royalties. Every table can be dropped and rebuilt from the log. queries.py asks them."""

from royalties.projections.agreements import Agreements, Terms
from royalties.projections.closing import Closings
from royalties.projections.distributions import Distributions, Payees
from royalties.projections.ledger import Ledger
from royalties.projections.moves import Moves
from royalties.projections.payments import Payouts, Royalties
from royalties.projections.platform_sales import PlatformSales
from royalties.projections.pools import RevenuePools, TrackRevenue
from royalties.projections.reconciliations import Reconciliations
from royalties.projections.sales import Sales
from royalties.projections.splits import PlatformFees, Splits
from service import WalletOwners

ALL = (
    Sales(),
    Royalties(),
    Payouts(),
    Splits(),
    PlatformFees(),
    Terms(),
    Agreements(),
    PlatformSales(),
    Ledger(),
    Reconciliations(),
    RevenuePools(),
    TrackRevenue(),
    Distributions(),
    Payees(),
    Moves(),
    Closings(),
    WalletOwners(),
)

__all__ = [
    "ALL",
    "Agreements",
    "Closings",
    "Distributions",
    "Ledger",
    "Moves",
    "Payees",
    "Payouts",
    "PlatformFees",
    "PlatformSales",
    "Reconciliations",
    "RevenuePools",
    "Royalties",
    "Sales",
    "Splits",
    "Terms",
    "TrackRevenue",
    "WalletOwners",
]
