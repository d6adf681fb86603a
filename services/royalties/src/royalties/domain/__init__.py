"""What the royalties service knows and decides; pure: no clock, no ids, no I/O. Read books.py, then track.py.

Every event that moves money holds its postings, so the log alone is the ledger; a balance is a sum of postings. Its
`line_kind` is what the statements of those concerned call it.
"""

from royalties.domain.account import PostWithdrawal, WithdrawalPosted, account
from royalties.domain.books import (
    DCMX,
    SCALES,
    TRX,
    USD,
    AccountClass,
    Contradiction,
    Posting,
    Reference,
    Side,
    class_of,
)
from royalties.domain.platform import PlatformFeeSet, platform
from royalties.domain.split import Share
from royalties.domain.token import RecordSale, SaleRecorded, token
from royalties.domain.track import (
    CarrySettlementPosted,
    PaymentPosted,
    PostPayment,
    PostRoyalty,
    RoyaltyPosted,
    SetSplit,
    SettleCarry,
    SplitControlAccepted,
    SplitDifferenceFound,
    SplitSet,
    TrackRegistered,
    track,
)

MoneyMoved = SaleRecorded | PaymentPosted | RoyaltyPosted | CarrySettlementPosted | WithdrawalPosted
MONEY_MOVED = (SaleRecorded, PaymentPosted, RoyaltyPosted, CarrySettlementPosted, WithdrawalPosted)

EVENTS: dict[str, type] = {
    "SaleRecorded.v1": SaleRecorded,
    "TrackRegistered.v1": TrackRegistered,
    "SplitControlAccepted.v1": SplitControlAccepted,
    "SplitSet.v1": SplitSet,
    "PaymentPosted.v1": PaymentPosted,
    "RoyaltyPosted.v1": RoyaltyPosted,
    "CarrySettlementPosted.v1": CarrySettlementPosted,
    "SplitDifferenceFound.v1": SplitDifferenceFound,
    "WithdrawalPosted.v1": WithdrawalPosted,
    "PlatformFeeSet.v1": PlatformFeeSet,
}

__all__ = [
    "DCMX",
    "EVENTS",
    "MONEY_MOVED",
    "SCALES",
    "TRX",
    "USD",
    "AccountClass",
    "CarrySettlementPosted",
    "Contradiction",
    "MoneyMoved",
    "PaymentPosted",
    "PlatformFeeSet",
    "PostPayment",
    "PostRoyalty",
    "PostWithdrawal",
    "Posting",
    "RecordSale",
    "Reference",
    "RoyaltyPosted",
    "SaleRecorded",
    "SetSplit",
    "SettleCarry",
    "Share",
    "Side",
    "SplitControlAccepted",
    "SplitDifferenceFound",
    "SplitSet",
    "TrackRegistered",
    "WithdrawalPosted",
    "account",
    "class_of",
    "platform",
    "token",
    "track",
]
