"""The store of data keys: one of each subject, wrapped, in a database of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Collection, Iterable, Sequence
from importlib.resources import files
from typing import TypeVar
from uuid import UUID

import asyncpg
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from privacy import metrics
from privacy.copies import LOCK
from privacy.errors import ErasedSubject
from privacy.keks import KEY_BYTES, Keks

KMS_CALLS = 32  # at once
REWRAPPED_AT_ONCE = 1_000
GRANTS = """GRANT SELECT, INSERT, UPDATE ON subject_keys, carried_out TO "{role}";
            GRANT SELECT, INSERT, UPDATE, DELETE ON copies, tokens TO "{role}" """
_INSTALLING = 0x6B657973  # "keys": the advisory lock of whoever makes the tables


T = TypeVar("T")


def install_sql() -> str:
    """The SQL that creates the store in an empty database."""
    return files("privacy").joinpath("schema.sql").read_text()


async def install(connection: asyncpg.Connection, role: str) -> None:
    """Creates the store, as the owner of its database, unless it is there; `role` may use it, and delete nothing."""
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _INSTALLING)
        if await connection.fetchval("SELECT to_regclass('public.subject_keys')") is None:
            await connection.execute(install_sql())
        if await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1 AND rolname <> current_user", role):
            await connection.execute(GRANTS.format(role=role.replace('"', '""')))


class KeyStore:
    """Makes, finds and erases data keys. A subject has one for ever, or had one."""

    def __init__(self, pool: asyncpg.Pool, keks: Keks) -> None:
        self._pool = pool
        self._keks = keks

    async def find(self, subjects: Collection[str]) -> dict[str, bytes]:
        """The keys of those subjects who have one. Raises KekError."""
        rows = await self._pool.fetch(
            "SELECT subject, kek, wrapped FROM subject_keys WHERE subject = ANY ($1) AND wrapped IS NOT NULL",
            list(subjects),
        )
        keys = await _bounded(self._keks[row["kek"]].unwrap(row["subject"], row["wrapped"]) for row in rows)
        return {row["subject"]: key for row, key in zip(rows, keys, strict=True)}

    async def make(self, subjects: Collection[str]) -> dict[str, bytes]:
        """The key of each subject, a new one where there was none.

        Of several processes that make one at once, all get that of the first. Raises ErasedSubject and KekError.
        """
        found = await self.find(subjects)
        if missing := sorted(set(subjects) - found.keys()):
            new = [AESGCM.generate_key(KEY_BYTES * 8) for _ in missing]
            kek = self._keks[self._keks.current]
            wrapped = await _bounded(kek.wrap(subject, key) for subject, key in zip(missing, new, strict=True))
            await self._pool.execute(
                """INSERT INTO subject_keys (subject, kek, wrapped)
                   SELECT subject, $2, wrapped FROM unnest($1::text[], $3::bytea[]) AS made(subject, wrapped)
                   ON CONFLICT (subject) DO NOTHING""",
                missing, self._keks.current, wrapped,
            )  # fmt: skip
            found |= await self.find(missing)
            metrics.made.inc(len(missing))
        if erased := sorted(set(subjects) - found.keys()):
            raise ErasedSubject(f"{', '.join(erased[:3])}: erased, so nothing can be sealed for them any more")
        return found

    async def erase(self, subjects: Iterable[str]) -> int:
        """Destroy the keys, copies and tokens of subjects, and see to it that those who have none never get one.

        Returns how many keys there were. Repeated, it changes nothing.
        """
        names = sorted(set(subjects))
        async with self._pool.acquire() as connection, connection.transaction():
            rows = await self._destroy_keys(names, connection)
            await connection.execute(LOCK)
            for table in ("copies", "tokens"):
                await connection.execute(f"DELETE FROM {table} WHERE subject = ANY ($1)", names)  # noqa: S608 - of ours
        metrics.destroyed.inc(len(rows))
        return len(rows)

    async def _destroy_keys(self, names: list[str], connection: asyncpg.Connection) -> list[asyncpg.Record]:
        rows: list[asyncpg.Record] = await connection.fetch(
            """WITH had AS (SELECT subject FROM subject_keys
                            WHERE subject = ANY ($1) AND wrapped IS NOT NULL ORDER BY subject FOR UPDATE),
                    erased AS (INSERT INTO subject_keys (subject, erased_at)
                               SELECT subject, clock_timestamp() FROM unnest($1::text[]) AS wanted(subject)
                               ORDER BY subject
                               ON CONFLICT (subject) DO UPDATE
                               SET kek = NULL, wrapped = NULL, erased_at = excluded.erased_at
                               WHERE subject_keys.erased_at IS NULL)
               SELECT subject FROM had""",
            names,
        )
        return rows

    async def missing(self) -> str | None:
        """What keeps the store from being used; None when it is there."""
        found = await self._pool.fetchval("SELECT to_regclass('public.carried_out') IS NOT NULL")
        return None if found else "the key store is not made yet: migrate"

    async def done(self, task: str, log_id: UUID) -> int:
        """The position up to which what a log orders has been carried out; 0 at first."""
        find = "SELECT position FROM carried_out WHERE task = $1 AND log_id = $2"
        return int(await self._pool.fetchval(find, task, log_id) or 0)

    async def advance(self, task: str, log_id: UUID, position: int) -> None:
        """Note that what a log orders has been carried out up to a position."""
        await self._pool.execute(
            """INSERT INTO carried_out (task, log_id, position) VALUES ($1, $2, $3)
               ON CONFLICT (task, log_id)
               DO UPDATE SET position = greatest(carried_out.position, excluded.position)""",
            task, log_id, position,
        )  # fmt: skip

    async def erased(self, subjects: Sequence[str]) -> set[str]:
        """Which of the subjects were erased."""
        rows = await self._pool.fetch(
            "SELECT subject FROM subject_keys WHERE subject = ANY ($1) AND erased_at IS NOT NULL", list(subjects)
        )
        return {row["subject"] for row in rows}

    async def rewrap(self, limit: int = REWRAPPED_AT_ONCE) -> int:
        """Wrap up to `limit` keys anew that an older key-encryption key has wrapped; 0 when there are none left.

        The log is not touched: what is sealed stays as it is. Keys are locked meanwhile, so none is erased in between.
        """
        current = self._keks.current
        async with self._pool.acquire() as conn, conn.transaction():
            rows = await conn.fetch(
                """SELECT subject, kek, wrapped FROM subject_keys WHERE kek <> $1
                   ORDER BY subject LIMIT $2 FOR UPDATE""",
                current, limit,
            )  # fmt: skip
            keys = await _bounded(self._keks[row["kek"]].unwrap(row["subject"], row["wrapped"]) for row in rows)
            subjects = [row["subject"] for row in rows]
            wrapped = await _bounded(
                self._keks[current].wrap(subject, key) for subject, key in zip(subjects, keys, strict=True)
            )
            await conn.execute(
                """UPDATE subject_keys AS k SET kek = $1, wrapped = anew.wrapped
                   FROM unnest($2::text[], $3::bytea[]) AS anew(subject, wrapped) WHERE k.subject = anew.subject""",
                current, subjects, wrapped,
            )  # fmt: skip
        return len(rows)


async def _bounded(calls: Iterable[Awaitable[T]]) -> list[T]:
    """The results of all calls in order, at most KMS_CALLS of them at once."""
    gate = asyncio.Semaphore(KMS_CALLS)

    async def one(call: Awaitable[T]) -> T:
        async with gate:
            return await call

    return await asyncio.gather(*(one(call) for call in calls))
