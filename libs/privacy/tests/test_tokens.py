"""Subjects are found by a value that is sealed, until they have another or are erased."""

from __future__ import annotations

import asyncpg
from pydantic import SecretStr

from privacy import KeyStore, Tokens

ADA, OTHER = SecretStr("Ada@Lovelace.example"), SecretStr("countess@lovelace.example")


async def test_whoever_has_a_value_is_found_by_it_however_it_is_written(pool: asyncpg.Pool, keys: KeyStore) -> None:
    emails, phones = (Tokens(pool, keys, field) for field in ("email", "phone"))
    await emails.keep("u-1", ADA)
    await emails.keep("u-2", SecretStr(" ada@lovelace.EXAMPLE "))
    assert await emails.find(SecretStr("ADA@lovelace.example")) == ["u-1", "u-2"]
    assert await phones.find(ADA) == [], "each field has a key of its own"
    await emails.keep("u-1", OTHER)
    assert (await emails.find(ADA), await emails.find(OTHER)) == (["u-2"], ["u-1"])
    stored = await pool.fetchval("SELECT string_agg(t::text, '') FROM tokens AS t")
    assert "lovelace" not in stored.lower()


async def test_who_is_erased_is_found_no_more_and_never_again(pool: asyncpg.Pool, keys: KeyStore) -> None:
    emails = Tokens(pool, keys, "email")
    for subject in ("u-1", "u-2"):
        await keys.make([subject])
        await emails.keep(subject, ADA)
    await keys.erase(["u-1"])
    await emails.keep("u-1", ADA)  # by a worker that had read the contact before
    assert await emails.find(ADA) == ["u-2"]
