"""What the royalties service knows and decides; pure: no clock, no ids, no I/O. Read books.py, then track.py.

Every event that moves money holds its postings, so the log alone is the ledger; a balance is a sum of postings. Its
`line_kind` is what the statements of those concerned call it.
"""

from typing import get_args

from privacy import EVENTS as ORDERS
from privacy import WALLETS
from royalties.domain import distributions
from royalties.domain.account import PostWithdrawal, WithdrawalPosted, account
from royalties.domain.agreement import (
    Agreement,
    AgreementOpened,
    CloseVersions,
    ControlAccepted,
    ControlOffered,
    OfferControl,
    SetVersion,
    agreement,
)
from royalties.domain.assets import AssetRegistered, asset
from royalties.domain.books import (
    DCMX,
    SCALES,
    TRX,
    USD,
    AccountClass,
    BooksMoved,
    Contradiction,
    Posting,
    Reference,
    Refused,
    Side,
    class_of,
)
from royalties.domain.closing import AnchorAsked, CloseBooks, NumbersDrawn, PeriodClosed, StatementIssued
from royalties.domain.division import AgreementVersionSet, Breakpoint
from royalties.domain.moves import (
    ExpireMove,
    Funds,
    MoveExpired,
    MovePosted,
    MoveReserved,
    MoveVoided,
    PostMove,
    ReserveMove,
    VoidMove,
    moves,
)
from royalties.domain.platform import FeeRecipientSet, PlatformFeeSet, platform
from royalties.domain.reconciliation import (
    DifferenceFound,
    DifferenceSettled,
    ReconciliationDone,
    RecordReconciliation,
    reconciliation,
)
from royalties.domain.refusals import CommandRefused, refusals
from royalties.domain.sales import (
    CarryGivenOut,
    GroupShared,
    PostRefund,
    PostReversal,
    PostSale,
    Refund,
    RefundPosted,
    Reversal,
    ReversalPosted,
    Sale,
    SalePosted,
)
from royalties.domain.split import Share
from royalties.domain.terms import SaleKind, SetTerms, TermsSet, terms
from royalties.domain.token import RecordSale, SaleRecorded, token
from royalties.domain.track import track
from royalties.domain.track_events import (
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
)

MoneyMoved = (
    SaleRecorded
    | PaymentPosted
    | RoyaltyPosted
    | CarrySettlementPosted
    | WithdrawalPosted
    | SalePosted
    | RefundPosted
    | ReversalPosted
    | CarryGivenOut
    | GroupShared
    | MoveReserved
    | MovePosted
    | MoveVoided
    | MoveExpired
    | distributions.MoneyMoved
)
MONEY_MOVED = get_args(MoneyMoved)

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
    "AssetRegistered.v1": AssetRegistered,
    "TermsSet.v1": TermsSet,
    "AgreementOpened.v1": AgreementOpened,
    "ControlOffered.v1": ControlOffered,
    "ControlAccepted.v1": ControlAccepted,
    "AgreementVersionSet.v1": AgreementVersionSet,
    "SalePosted.v1": SalePosted,
    "RefundPosted.v1": RefundPosted,
    "ReversalPosted.v1": ReversalPosted,
    "CarryGivenOut.v1": CarryGivenOut,
    "GroupShared.v1": GroupShared,
    "CommandRefused.v1": CommandRefused,
    "MoveReserved.v1": MoveReserved,
    "MovePosted.v1": MovePosted,
    "MoveVoided.v1": MoveVoided,
    "MoveExpired.v1": MoveExpired,
    "FeeRecipientSet.v1": FeeRecipientSet,
    "ReconciliationDone.v1": ReconciliationDone,
    "DifferenceFound.v1": DifferenceFound,
    "DifferenceSettled.v1": DifferenceSettled,
    **distributions.EVENTS,
    "StatementIssued.v1": StatementIssued,
    "PeriodClosed.v1": PeriodClosed,
    "AnchorAsked.v1": AnchorAsked,
    "NumbersDrawn.v1": NumbersDrawn,
    **ORDERS,
    **WALLETS,
}

__all__ = [
    "DCMX",
    "EVENTS",
    "MONEY_MOVED",
    "SCALES",
    "TRX",
    "USD",
    "AccountClass",
    "Agreement",
    "AgreementOpened",
    "AgreementVersionSet",
    "AnchorAsked",
    "AssetRegistered",
    "BooksMoved",
    "Breakpoint",
    "CarryGivenOut",
    "CarrySettlementPosted",
    "CloseBooks",
    "CloseVersions",
    "CommandRefused",
    "Contradiction",
    "ControlAccepted",
    "ControlOffered",
    "DifferenceFound",
    "DifferenceSettled",
    "ExpireMove",
    "FeeRecipientSet",
    "Funds",
    "GroupShared",
    "MoneyMoved",
    "MoveExpired",
    "MovePosted",
    "MoveReserved",
    "MoveVoided",
    "NumbersDrawn",
    "OfferControl",
    "PaymentPosted",
    "PeriodClosed",
    "PlatformFeeSet",
    "PostMove",
    "PostPayment",
    "PostRefund",
    "PostReversal",
    "PostRoyalty",
    "PostSale",
    "PostWithdrawal",
    "Posting",
    "ReconciliationDone",
    "RecordReconciliation",
    "RecordSale",
    "Reference",
    "Refund",
    "RefundPosted",
    "Refused",
    "ReserveMove",
    "Reversal",
    "ReversalPosted",
    "RoyaltyPosted",
    "Sale",
    "SaleKind",
    "SalePosted",
    "SaleRecorded",
    "SetSplit",
    "SetTerms",
    "SetVersion",
    "SettleCarry",
    "Share",
    "Side",
    "SplitControlAccepted",
    "SplitDifferenceFound",
    "SplitSet",
    "StatementIssued",
    "TermsSet",
    "TrackRegistered",
    "VoidMove",
    "WithdrawalPosted",
    "account",
    "agreement",
    "asset",
    "class_of",
    "moves",
    "platform",
    "reconciliation",
    "refusals",
    "terms",
    "token",
    "track",
]
