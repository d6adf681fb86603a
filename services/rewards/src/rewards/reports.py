"""The border of activities: what is reported, by API or as a message, becomes a report for the domain.

Addresses and devices' names end here: what goes on is a hash under a key that is destroyed after the month.
"""

from __future__ import annotations

import hmac
from datetime import UTC, date, datetime
from hashlib import sha256
from ipaddress import IPv6Address, ip_address, ip_network
from typing import cast

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from contracts import activity as told
from eventlog import Metadata
from messaging import Received
from privacy import KeyStore, MonthKeys
from rewards import domain
from rewards.recorder import Reported, new_reward_id

HASH_DIGITS = 32


class Origins:
    """Turns addresses and devices' names into keyed hashes; without a key it forgets them.

    They are hashed twice: with the key that is shared with whoever reports by messages, then with one of the month in
    which it happened. A log can't forget a hash, but when the second key is gone, nobody can tell whose it was.
    """

    def __init__(self, key: str, keys: KeyStore, months: MonthKeys) -> None:
        self._key = key.encode()
        self._keys = keys
        self._months = months
        self._loaded: tuple[date, dict[str, bytes | None]] = (date.min, {})

    async def of(self, address: str | None, device: str | None, at: datetime) -> domain.Origin:
        """The origin of a report. An IPv6 address counts by its network of 64 bits, which one household has."""
        if not self._key:
            return domain.Origin()
        hashed = domain.Origin(
            _hash(self._key, "address", _network(address)) if address else None,
            _hash(self._key, "device", device) if device else None,
        )
        return await self.of_hashed(hashed, at)

    async def of_hashed(self, told: domain.Origin, at: datetime) -> domain.Origin:
        """The origin of a report whose sender has hashed it; none if the key of that month is gone."""
        if (secret := await self._secret(min(at, datetime.now(UTC)))) is None:
            return domain.Origin()
        return domain.Origin(
            _hash(secret, "address", told.address) if told.address else None,
            _hash(secret, "device", told.device) if told.device else None,
        )

    async def _secret(self, at: datetime) -> bytes | None:
        """The key of a month, remembered until midnight."""
        today = datetime.now(UTC).date()
        if self._loaded[0] != today:
            self._loaded = (today, {})
        month, known = self._months.of(at), self._loaded[1]
        if month not in known:
            known[month] = (await self._keys.make([month]))[month] if self._months.is_kept(at) else None
        return known[month]


def _hash(key: bytes, what: str, value: str) -> str:
    return hmac.new(key, f"{what}:{value}".encode(), sha256).hexdigest()[:HASH_DIGITS]


def _network(address: str) -> str:
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if isinstance(found, IPv6Address):
        return str(ip_network((found, 64), strict=False).network_address)
    return str(found)


def report(facts: told.Facts, origin: domain.Origin, at: datetime, is_answered: bool = True) -> domain.Report:
    """What was told, as the domain decides about it."""
    flaw = None
    if isinstance(facts, told.TransferFacts) and not is_signed(facts):
        flaw = "bad-signature"
    return domain.Report(_activity(facts, origin), new_reward_id(), at, flaw, is_answered)


def _activity(facts: told.Facts, origin: domain.Origin) -> domain.AnyActivity:
    if isinstance(facts, told.TransferFacts):
        return domain.Transfer(
            f"{facts.client}/{facts.nonce}",
            facts.user,
            facts.issued_at,
            origin,
            facts.client,
            facts.client_key,
            facts.served_bytes,
            facts.issued_at,
            facts.expires_at,
        )
    named = (facts.activity_id, facts.user, facts.at, origin)
    match facts:
        case told.ListenFacts():
            return domain.Listen(*named, facts.track_id, facts.listened_seconds, facts.track_seconds)
        case told.ShareFacts():
            return domain.Share(*named, facts.track_id, facts.channel)
        case told.VoteFacts():
            return domain.Vote(*named, facts.track_id, facts.like)
        case told.SkipFacts():
            return domain.Skip(*named, facts.track_id, facts.listened_seconds)
        case told.ReferralFacts():
            return domain.Referral(*named, facts.referred)


def time_of(facts: told.Facts) -> datetime:
    """When it happened."""
    return facts.issued_at if isinstance(facts, told.TransferFacts) else facts.at


async def commanded(received: Received, origins: Origins) -> Reported | None:
    """What a message of `rewards.commands` reports; None for one of another kind. Its own time is when it was told."""
    message = received.message
    if not isinstance(message, told.ReportActivity):
        return None
    facts = cast(told.Facts, message)  # each of these classes is one of facts
    hashed = domain.Origin(message.address_key, message.device_key)
    origin = await origins.of_hashed(hashed, time_of(facts))
    metadata = Metadata(received.id, received.id, received.traceparent)
    return Reported(report(facts, origin, received.time or datetime.now(UTC), is_answered=False), metadata)


# ---- receipts for bandwidth --------------------------------------------------------------------------------------


def receipt_text(facts: told.TransferFacts) -> bytes:
    """What the client signs."""
    parts = (facts.user, facts.client, facts.nonce, facts.served_bytes, _ms(facts.issued_at), _ms(facts.expires_at))
    return "\n".join(["annals-receipt-v1", *map(str, parts)]).encode()


def is_signed(facts: told.TransferFacts) -> bool:
    """Whether the key that the receipt names has signed it."""
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(facts.client_key))
        key.verify(bytes.fromhex(facts.signature), receipt_text(facts))
    except (InvalidSignature, ValueError):
        return False
    return True


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)
