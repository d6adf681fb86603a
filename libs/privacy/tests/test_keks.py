from __future__ import annotations

import base64
from pathlib import Path

import asyncpg
import pytest
from pydantic import SecretStr

from privacy import KekError, Keks, KeyStore, LocalKek, Personal, Vault

A, B = (base64.b64encode(letter * 32).decode() for letter in (b"a", b"b"))


async def test_keys_come_from_a_text_or_a_file_and_the_first_is_current(tmp_path: Path) -> None:
    file = tmp_path / "keks"
    file.write_text(f"2027:{B}\n2026:{A}\n")
    for keks in (Keks.parse(f"2027:{B},2026:{A}"), Keks.parse(f"file:{file}")):
        assert (keks.current, list(keks)) == ("2027", ["2027", "2026"])
        wrapped = await keks["2026"].wrap("u-1", b"k" * 32)
        assert await LocalKek(b"a" * 32).unwrap("u-1", wrapped) == b"k" * 32


@pytest.mark.parametrize(
    "text",
    ["", "x", ":", f":{A}", "2026:", "2026:!", f"2026:{A[:20]}", f"2026:{A},2026:{B}", f"2026:{A},", "file:/not/there"],
)
def test_what_is_no_key_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(KekError) as refused:
        Keks.parse(text)
    assert A[:20] not in str(refused.value)


async def test_a_key_wrapped_for_one_subject_is_of_no_use_for_another() -> None:
    kek = LocalKek(b"a" * 32)
    wrapped = await kek.wrap("u-1", b"k" * 32)
    for subject, data in (("u-2", wrapped), ("u-1", wrapped[:-1]), ("u-1", b"")):
        with pytest.raises(KekError, match=subject):
            await kek.unwrap(subject, data)


async def test_a_missing_key_is_named(keys: KeyStore, vault: Vault, pool: asyncpg.Pool) -> None:
    [sealed] = await vault.seal([Personal("u-1", "email", SecretStr("a"))])
    with pytest.raises(KekError, match="2026"):
        await Vault(KeyStore(pool, Keks({"2027": LocalKek(b"b" * 32)}))).open([sealed])
