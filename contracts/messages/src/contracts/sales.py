"""Sales off the chain, as other services report them to royalties (`royalties.commands`, keyed by the agreement).

Whoever reports chooses the ids: the same id again changes nothing; with other contents it is refused, which
`royalties.events` tells.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field, StringConstraints

from contracts.envelope import Message
from contracts.values import Amount, SubjectId, Time, Uint256

AssetName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,99}$")]
"""TRX, USD, DCMX, the address of a TRC-20 token's contract, or coin:<creator>."""
Reason = Annotated[str, Field(min_length=1, max_length=500)]


class SaleFacts(BaseModel):
    """Something was sold, or given as a tip; who shares it, the agreement says."""

    sale_id: SubjectId = Field(description="chosen by whoever reports it; unique among all that it reports")
    agreement: SubjectId = Field(description="whose split in force at the sale's time divides it")
    kind: Literal["purchase", "tip", "primary", "secondary"]
    asset: AssetName
    amount: Amount = Field(description="what was paid, in the asset's smallest unit")
    source: SubjectId = Field(description="who took the money in, such as a payment provider")
    occurred_at: Time
    track_id: Uint256 | None = None
    buyer: SubjectId | None = Field(None, description="opaque subject id")
    seller: SubjectId | None = Field(None, description="opaque subject id of who sold it; of a secondary sale only")
    royalty: Amount | None = Field(None, description="the part that is shared; of a secondary sale only")


class RefundFacts(BaseModel):
    """A buyer got back some or all of a sale's amount."""

    refund_id: SubjectId = Field(description="chosen by whoever reports it; unique among all that it reports")
    sale_id: SubjectId = Field(description="of a sale that the same caller has reported")
    amount: Amount
    reason: Reason
    occurred_at: Time


class RecordSale(Message, SaleFacts, type="royalties.commands.RecordSale.v1"):
    """Post a sale, with its fee and everybody's part."""

    caller: SubjectId = Field(description="who chose the id")


class RecordRefund(Message, RefundFacts, type="royalties.commands.RecordRefund.v1"):
    """Take back from everybody what the sale gave."""

    caller: SubjectId = Field(description="who chose the ids")
