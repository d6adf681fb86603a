"""Copies for subjects: sealed to a key that only they have, kept beside the keys until they expire.

In the database of the keys, because its backups are few and short-lived, and because no log and no topic ever forgets.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

import asyncpg
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from privacy.errors import BrokenBox

LOCK = "LOCK TABLE copies IN SHARE ROW EXCLUSIVE MODE"
"""Keeping and erasing take turns, so that no copy outlives its subject."""
HPKE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)  # RFC 9180


@dataclass(frozen=True, slots=True)
class Copy:
    """What one service holds of one subject, sealed for whoever has made a request."""

    request_id: str
    subject: str
    service: str
    box: bytes
    expires_at: datetime

    @property
    def content_hash(self) -> str:
        return sha256(self.box).hexdigest()


def seal_for(public_key: str, request_id: str, subject: str, clear: bytes) -> bytes:
    """A text that only the private key opens, and only as this request's copy of this subject."""
    key = X25519PublicKey.from_public_bytes(base64.b64decode(public_key))
    return HPKE.encrypt(clear, key, info=_bound_to(request_id, subject))


def open_with(private_key: str, copy: Copy) -> bytes:
    """What was sealed. Raises BrokenBox for another key, another's copy, or a changed one."""
    try:
        key = X25519PrivateKey.from_private_bytes(base64.b64decode(private_key, validate=True))
        return HPKE.decrypt(copy.box, key, info=_bound_to(copy.request_id, copy.subject))
    except (InvalidTag, ValueError, binascii.Error):
        raise BrokenBox(f"copy of {copy.subject} from {copy.service}: changed, or sealed to another key") from None


def _bound_to(request_id: str, subject: str) -> bytes:
    return f"annals/copy/1\0{request_id}\0{subject}".encode()


class Copies:
    """The copies that wait to be fetched. An erasure of their subject destroys them with its key (`KeyStore.erase`)."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def keep(self, copy: Copy) -> None:
        """Keeps a copy in place of one of the same name; none of a subject that was erased."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(LOCK)
            await connection.execute(
                """INSERT INTO copies (request_id, subject, service, box, expires_at)
                   SELECT $1, $2, $3, $4, $5 WHERE NOT EXISTS (
                       SELECT FROM subject_keys WHERE subject = $2 AND erased_at IS NOT NULL)
                   ON CONFLICT (request_id, subject, service)
                   DO UPDATE SET box = excluded.box, expires_at = excluded.expires_at""",
                copy.request_id, copy.subject, copy.service, copy.box, copy.expires_at,
            )  # fmt: skip

    async def of(self, request_id: str) -> list[Copy]:
        """The copies that are kept for a request; none that has expired."""
        rows = await self._pool.fetch(
            """SELECT request_id, subject, service, box, expires_at FROM copies
               WHERE request_id = $1 AND expires_at > clock_timestamp() ORDER BY service, subject""",
            request_id,
        )
        return [Copy(*row) for row in rows]

    async def find(self, request_id: str, subject: str, service: str) -> Copy | None:
        """A copy, None if it is not kept, or has expired."""
        row = await self._pool.fetchrow(
            """SELECT request_id, subject, service, box, expires_at FROM copies
               WHERE request_id = $1 AND subject = $2 AND service = $3 AND expires_at > clock_timestamp()""",
            request_id, subject, service,
        )  # fmt: skip
        return None if row is None else Copy(*row)

    async def destroy_expired(self) -> int:
        """Destroys the copies that have expired; returns how many there were."""
        destroyed = await self._pool.execute("DELETE FROM copies WHERE expires_at <= clock_timestamp()")
        return int(destroyed.rpartition(" ")[2])
