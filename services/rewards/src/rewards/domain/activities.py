"""What users do, as it is reported, and what is recorded of it: the activity, and the verdict on its reward."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import ClassVar, Literal

from contracts.chain import Pool
from contracts.values import Amount

CONFLICT = "conflict"
"""The reason of a refusal: another activity had this id before. That one stands, this one is only on record."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a report came from: keyed hashes, never an address or a device's name itself."""

    address: str | None = None
    device: str | None = None


@dataclass(frozen=True, slots=True)
class Activity:
    """What all activities have. `id` is chosen by whoever reports it, and names it among its user's of one kind."""

    id: str
    user: str
    at: datetime  # when it ended
    origin: Origin

    kind: ClassVar[Pool | None]
    stream_kind: ClassVar[str]

    @property
    def subject(self) -> str | None:
        """The track it is about."""
        return None

    @property
    def stream(self) -> str:
        return f"{self.stream_kind}/{self.user}"


@dataclass(frozen=True, slots=True)
class Listen(Activity):
    """A track was heard, from whatever point on."""

    track: str
    seconds: int
    track_seconds: int

    kind = Pool.LISTENING
    stream_kind = "listening"

    @property
    def subject(self) -> str | None:
        return self.track


@dataclass(frozen=True, slots=True)
class Share(Activity):
    """A track was shown to others elsewhere."""

    track: str
    channel: str

    kind = Pool.SHARING
    stream_kind = "sharing"

    @property
    def subject(self) -> str | None:
        return self.track


@dataclass(frozen=True, slots=True)
class Transfer(Activity):
    """`user` has served bytes to `client`, who signed for it. Its id is made of the client and the receipt's nonce."""

    client: str
    client_key: str  # Ed25519, hexadecimal
    served_bytes: int
    issued_at: datetime
    expires_at: datetime

    kind = Pool.BANDWIDTH
    stream_kind = "bandwidth"


@dataclass(frozen=True, slots=True)
class Vote(Activity):
    """A track is liked or disliked, in place of what the user said of it before."""

    track: str
    like: bool

    kind = Pool.VOTING
    stream_kind = "voting"

    @property
    def subject(self) -> str | None:
        return self.track


@dataclass(frozen=True, slots=True)
class Referral(Activity):
    """`user` has brought `referred` here."""

    referred: str

    kind = Pool.REFERRAL
    stream_kind = "referral"


@dataclass(frozen=True, slots=True)
class Skip(Activity):
    """A track was left early; earns nothing."""

    track: str
    seconds: int

    kind = None
    stream_kind = "skips"

    @property
    def subject(self) -> str | None:
        return self.track


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of the reward of an activity, and by which rule."""

    outcome: Literal["earned", "held", "refused", "noted"]
    amount: Amount
    reason: str | None  # why it earned nothing, or is held
    rule_version: int  # 0: no rule was needed
    day: date  # the UTC day whose limit it counts for
    score: int = 0
    score_reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Recorded:
    reward_id: str
    reported_at: datetime
    verdict: Verdict
    flaw: str | None  # found before any rule was asked: bad-signature, unknown-key


@dataclass(frozen=True, slots=True)
class ListenRecorded(_Recorded):
    activity: Listen


@dataclass(frozen=True, slots=True)
class ShareRecorded(_Recorded):
    activity: Share


@dataclass(frozen=True, slots=True)
class TransferRecorded(_Recorded):
    activity: Transfer


@dataclass(frozen=True, slots=True)
class VoteRecorded(_Recorded):
    activity: Vote
    replaces: bool | None  # the vote before, if there was one

    @property
    def counts(self) -> bool:
        """Whether it stands, rewarded or not."""
        return self.verdict.reason != CONFLICT


@dataclass(frozen=True, slots=True)
class ReferralRecorded(_Recorded):
    activity: Referral


@dataclass(frozen=True, slots=True)
class SkipRecorded(_Recorded):
    activity: Skip


@dataclass(frozen=True, slots=True)
class Referred:
    """In the stream of the one who was referred: by whom. Only once, and never by somebody they have brought."""

    user: str
    by: str
    at: datetime


RewardedActivity = ListenRecorded | ShareRecorded | TransferRecorded | VoteRecorded | ReferralRecorded
ActivityRecorded = RewardedActivity | SkipRecorded
AnyActivity = Listen | Share | Transfer | Vote | Referral | Skip


@dataclass(frozen=True, slots=True)
class Report:
    """An activity as it reaches us. `reward_id` names its reward, whatever that comes to."""

    activity: AnyActivity
    reward_id: str
    reported_at: datetime
    flaw: str | None = None
    is_answered: bool = True  # somebody waits: a conflict is an error to them; else it is recorded as a refusal
