"""What users do, as other services report it to rewards (`rewards.commands`, keyed by the user).

The id of an activity is chosen by whoever reports it: the same id again changes nothing. Addresses and devices travel
as keyed hashes only: the first 32 hexadecimal digits of HMAC-SHA256 over `address:<address>` or `device:<device>`, with
the key that the rewards service has as REWARDS_ORIGIN_KEY.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field, StringConstraints

from contracts.envelope import Message
from contracts.values import SubjectId, Time

OriginKey = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
Hex32 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Seconds = Annotated[int, Field(ge=0, le=86_400, strict=True)]


class Did(BaseModel):
    """What all activities say."""

    user: SubjectId = Field(description="opaque subject id of the one who is rewarded")


class Named(Did):
    activity_id: SubjectId = Field(description="chosen by whoever reports it; unique per user and kind")
    at: Time = Field(description="when it ended")


class ListenFacts(Named):
    """A track was heard."""

    track_id: SubjectId
    listened_seconds: Seconds
    track_seconds: Annotated[int, Field(ge=1, le=86_400, strict=True)]


class ShareFacts(Named):
    """A track was shown to others elsewhere."""

    track_id: SubjectId
    channel: SubjectId = Field(description="where: a name such as telegram, no address of a person")


class VoteFacts(Named):
    """A track is liked or disliked."""

    track_id: SubjectId
    like: Annotated[bool, Field(strict=True)]


class SkipFacts(Named):
    """A track was left early."""

    track_id: SubjectId
    listened_seconds: Seconds


class ReferralFacts(Named):
    """The user has brought another one."""

    referred: SubjectId


class TransferFacts(Did):
    """A receipt: `user` has served bytes to `client`, whose key has signed

        annals-receipt-v1\\n<user>\\n<client>\\n<nonce>\\n<served_bytes>\\n<issued_at>\\n<expires_at>

    as UTF-8, the times in milliseconds since 1970, with Ed25519. It is redeemed once, before it expires.
    """

    client: SubjectId
    client_key: Hex32 = Field(description="Ed25519 public key of the client, which must be registered")
    nonce: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{8,64}$")] = Field(
        description="never used twice by this client"
    )
    served_bytes: Annotated[int, Field(ge=0, le=2**53, strict=True)]
    issued_at: Time
    expires_at: Time
    signature: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{128}$")]


Facts = ListenFacts | ShareFacts | VoteFacts | SkipFacts | ReferralFacts | TransferFacts


class ReportActivity(Message):
    """Something a user has done."""

    address_key: OriginKey | None = Field(None, description="keyed hash of the network address it came from")
    device_key: OriginKey | None = Field(None, description="keyed hash of the device's name")


class ReportListen(ReportActivity, ListenFacts, type="rewards.commands.ReportListen.v1"):
    """A track was heard; it counts by the rule in force at its time."""


class ReportShare(ReportActivity, ShareFacts, type="rewards.commands.ReportShare.v1"):
    """A track was shown to others elsewhere."""


class ReportVote(ReportActivity, VoteFacts, type="rewards.commands.ReportVote.v1"):
    """A track is liked or disliked, in place of what the user said of it before."""


class ReportSkip(ReportActivity, SkipFacts, type="rewards.commands.ReportSkip.v1"):
    """A track was left early."""


class ReportReferral(ReportActivity, ReferralFacts, type="rewards.commands.ReportReferral.v1"):
    """The user has brought another one, who was referred by nobody and has referred nobody before."""


class ReportTransfer(ReportActivity, TransferFacts, type="rewards.commands.ReportTransfer.v1"):
    """The user has served bytes, and has a receipt for it."""
