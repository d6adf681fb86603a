"""Subjects found by a value that is sealed: by a keyed hash of it, beside the keys and never in a log.

Whoever has the hashes and not the key learns nothing from them; an erasure destroys a subject's with its key.
"""

from __future__ import annotations

import hmac

import asyncpg
from pydantic import SecretStr

from privacy.copies import LOCK
from privacy.keys import KeyStore
from privacy.values import FieldName


class Tokens:
    """The tokens of one field. Their key is one of the key store, of no person: a person's id has no slash."""

    def __init__(self, pool: asyncpg.Pool, keys: KeyStore, field: FieldName) -> None:
        self._pool = pool
        self._keys = keys
        self._field = field

    async def keep(self, subject: str, value: SecretStr) -> None:
        """Has the subject found by this value from now on, and by none that it had before; not one that was erased."""
        token = await self._token(value)
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(LOCK)
            await connection.execute(
                """INSERT INTO tokens (field, subject, token)
                   SELECT $1, $2, $3 WHERE NOT EXISTS (
                       SELECT FROM subject_keys WHERE subject = $2 AND erased_at IS NOT NULL)
                   ON CONFLICT (field, subject) DO UPDATE SET token = excluded.token""",
                self._field, subject, token,
            )  # fmt: skip

    async def find(self, value: SecretStr) -> list[str]:
        """Those who have this value, by id."""
        rows = await self._pool.fetch(
            "SELECT subject FROM tokens WHERE field = $1 AND token = $2 ORDER BY subject",
            self._field, await self._token(value),
        )  # fmt: skip
        return [row["subject"] for row in rows]

    async def _token(self, value: SecretStr) -> bytes:
        """Written alike, however it is written: without regard to case, or to spaces around it."""
        [key] = (await self._keys.make([f"tokens/{self._field}"])).values()
        return hmac.digest(key, value.get_secret_value().strip().casefold().encode(), "sha256")
