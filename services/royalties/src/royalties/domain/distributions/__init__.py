"""Revenue that is shared with holders: pools, distributions, those who are paid, and their payments.

Read `runs`, a distribution from its opening to its end, then `crediting`, which concerns several books at once.
"""

from royalties.domain.distributions.crediting import (
    Credited,
    credit_next,
    credit_share,
    give_up_payment,
    reconcile,
    retry_payment,
)
from royalties.domain.distributions.payees import (
    HoldPlaced,
    HoldReleased,
    Payee,
    PaymentCarried,
    ShareCredited,
    TaxFormRecorded,
    payee,
    why_withheld,
)
from royalties.domain.distributions.payments import (
    Payment,
    PaymentAsked,
    PaymentDone,
    PaymentEvent,
    PaymentFailed,
    PaymentGivenUp,
    PaymentMade,
    PaymentUndone,
    payment,
)
from royalties.domain.distributions.pools import (
    AllocateRevenue,
    CoinValued,
    Pool,
    RevenueAllocated,
    RevenueReturned,
    RevenueSetAside,
    give_back,
    pool,
    set_aside,
)
from royalties.domain.distributions.runs import (
    APPROVALS,
    ApproveDistribution,
    CancelDistribution,
    Distribution,
    DistributionApproved,
    DistributionCancelled,
    DistributionEvent,
    DistributionOpened,
    DistributionPreviewed,
    DistributionReconciled,
    Holding,
    OpenDistribution,
    PreviewDistribution,
    Share,
    SharesCredited,
    SharesListed,
    Terms,
    cancel_distribution,
    distribution,
    open_distribution,
    shares_of,
)

MoneyMoved = (
    RevenueAllocated
    | RevenueSetAside
    | RevenueReturned
    | ShareCredited
    | PaymentCarried
    | PaymentAsked
    | PaymentMade
    | PaymentFailed
)
EVENTS: dict[str, type] = {
    "RevenueAllocated.v1": RevenueAllocated,
    "RevenueSetAside.v1": RevenueSetAside,
    "RevenueReturned.v1": RevenueReturned,
    "CoinValued.v1": CoinValued,
    "DistributionOpened.v1": DistributionOpened,
    "SharesListed.v1": SharesListed,
    "DistributionPreviewed.v1": DistributionPreviewed,
    "DistributionApproved.v1": DistributionApproved,
    "DistributionCancelled.v1": DistributionCancelled,
    "SharesCredited.v1": SharesCredited,
    "DistributionReconciled.v1": DistributionReconciled,
    "ShareCredited.v1": ShareCredited,
    "PaymentCarried.v1": PaymentCarried,
    "HoldPlaced.v1": HoldPlaced,
    "HoldReleased.v1": HoldReleased,
    "TaxFormRecorded.v1": TaxFormRecorded,
    "PaymentAsked.v1": PaymentAsked,
    "PaymentMade.v1": PaymentMade,
    "PaymentFailed.v1": PaymentFailed,
    "PaymentGivenUp.v1": PaymentGivenUp,
}

__all__ = [
    "APPROVALS",
    "EVENTS",
    "AllocateRevenue",
    "ApproveDistribution",
    "CancelDistribution",
    "CoinValued",
    "Credited",
    "Distribution",
    "DistributionApproved",
    "DistributionCancelled",
    "DistributionEvent",
    "DistributionOpened",
    "DistributionPreviewed",
    "DistributionReconciled",
    "HoldPlaced",
    "HoldReleased",
    "Holding",
    "MoneyMoved",
    "OpenDistribution",
    "Payee",
    "Payment",
    "PaymentAsked",
    "PaymentCarried",
    "PaymentDone",
    "PaymentEvent",
    "PaymentFailed",
    "PaymentGivenUp",
    "PaymentMade",
    "PaymentUndone",
    "Pool",
    "PreviewDistribution",
    "RevenueAllocated",
    "RevenueReturned",
    "RevenueSetAside",
    "Share",
    "ShareCredited",
    "SharesCredited",
    "SharesListed",
    "TaxFormRecorded",
    "Terms",
    "cancel_distribution",
    "credit_next",
    "credit_share",
    "distribution",
    "give_back",
    "give_up_payment",
    "open_distribution",
    "payee",
    "payment",
    "pool",
    "reconcile",
    "retry_payment",
    "set_aside",
    "shares_of",
    "why_withheld",
]
