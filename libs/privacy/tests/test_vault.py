from __future__ import annotations

import asyncio
import base64
from contextlib import suppress
from dataclasses import dataclass, replace

import asyncpg
import pytest
from pydantic import SecretStr

from eventlog import EventTypes, InvalidEvent
from privacy import BrokenBox, ErasedSubject, Keks, KeyStore, LocalKek, Personal, Sealed, Vault

ADA = Personal("u-1", "email", SecretStr("ada@lovelace.example"))
BOB = Personal("u-2", "email", SecretStr("bob@example.org"))


@dataclass(frozen=True, slots=True)
class Joined:
    """An event as a service would have it."""

    user: str
    email: Sealed


TYPES = EventTypes({"Joined.v1": Joined})


def clear(opened: list[SecretStr | None]) -> list[str | None]:
    return [None if value is None else value.get_secret_value() for value in opened]


async def test_what_is_sealed_is_opened_again_in_order(vault: Vault) -> None:
    empty = Personal("u-1", "note", SecretStr(""))
    unicode = Personal("u-2", "note", SecretStr("Ωμέγα\0🎶" * 100))
    sealed = await vault.seal([ADA, BOB, empty, unicode, ADA])
    assert clear(await vault.open(sealed)) == [
        value.value.get_secret_value() for value in (ADA, BOB, empty, unicode, ADA)
    ]
    assert sealed[0] != sealed[4], "the same value is another box each time"
    assert await vault.open([]) == []
    assert await vault.seal([]) == []


async def test_an_event_holds_the_box_and_survives_the_log(vault: Vault) -> None:
    [email] = await vault.seal([ADA])
    name, version, text = TYPES.encode(Joined("u-1", email))
    assert "lovelace" not in text
    assert TYPES.decode(name, version, text) == Joined("u-1", email)


def test_a_value_in_clear_is_in_no_repr_and_in_no_event() -> None:
    assert "lovelace" not in f"{ADA!r} {ADA} {ADA.value!r}"
    for wrong in (ADA, ADA.value, "ada@lovelace.example"):
        with pytest.raises(InvalidEvent) as refused:
            TYPES.encode(Joined("u-1", wrong))  # type: ignore[arg-type]  # and mypy says so
        if wrong is not ADA.value:
            continue
        assert "lovelace" not in str(refused.value)


async def test_a_box_is_of_its_subject_and_field_and_unchanged(vault: Vault) -> None:
    email, other = await vault.seal([ADA, BOB])
    box = bytearray(base64.b64decode(email.box))
    box[20] ^= 1
    flipped = base64.b64encode(box).decode()
    for wrong in (
        replace(email, field="name"),
        replace(email, subject=other.subject),
        replace(email, box=flipped),
        replace(email, box=other.box),
    ):
        with pytest.raises(BrokenBox, match=wrong.subject):
            await vault.open([wrong])


async def test_what_was_erased_opens_nowhere_and_others_are_untouched(keys: KeyStore, vault: Vault) -> None:
    sealed = await vault.seal([ADA, BOB])
    assert await keys.erase(["u-1"]) == 1
    elsewhere = Vault(keys)
    assert clear(await elsewhere.open(sealed)) == [None, "bob@example.org"]
    await asyncio.sleep(vault.seconds)
    assert clear(await vault.open(sealed)) == [None, "bob@example.org"], "nor where it was remembered"
    for one in (vault, elsewhere):
        with pytest.raises(ErasedSubject, match="u-1"):
            await one.seal([BOB, ADA])
    assert await keys.erase(["u-1", "u-1"]) == 0


async def test_who_is_erased_before_anything_is_known_never_gets_a_key(keys: KeyStore, vault: Vault) -> None:
    assert await keys.erase(["u-1"]) == 0
    with pytest.raises(ErasedSubject):
        await vault.seal([ADA])
    assert await keys.erased(["u-1", "u-2"]) == {"u-1"}


async def test_an_erased_key_never_comes_back_not_by_sql_either(
    keys: KeyStore, vault: Vault, pool: asyncpg.Pool
) -> None:
    await vault.seal([ADA])
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="u-1"):
        await pool.execute("DELETE FROM subject_keys")
    await keys.erase(["u-1"])
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="u-1"):
        await pool.execute("UPDATE subject_keys SET kek = 'x', wrapped = 'y', erased_at = NULL")


async def test_processes_that_make_a_key_at_once_have_the_same(keys: KeyStore) -> None:
    made = await asyncio.gather(*(keys.make(["u-1", "u-2"]) for _ in range(8)))
    assert all(one == made[0] for one in made)


async def test_erasing_and_sealing_at_once_end_erased(keys: KeyStore) -> None:
    subjects = [f"u-{number}" for number in range(50)]

    async def seal(number: int) -> None:
        with suppress(ErasedSubject):  # it came later
            await Vault(keys).seal([Personal(subject, "email", SecretStr("x")) for subject in subjects[number:]])

    await asyncio.gather(*(seal(number) for number in range(10)), keys.erase(subjects), keys.erase(subjects[::-1]))
    assert await keys.find(subjects) == {}


async def test_rotation_wraps_keys_anew_and_leaves_what_is_sealed(
    keys: KeyStore, vault: Vault, pool: asyncpg.Pool
) -> None:
    others = [Personal(f"u-{number}", "email", SecretStr(str(number))) for number in range(10, 15)]
    sealed = await vault.seal([ADA, *others])
    await keys.erase(["u-10"])
    both = KeyStore(pool, Keks({"2027": LocalKek(b"b" * 32), "2026": LocalKek(b"a" * 32)}))
    assert [await both.rewrap(3), await both.rewrap(3), await both.rewrap(3)] == [3, 2, 0]
    new = KeyStore(pool, Keks({"2027": LocalKek(b"b" * 32)}))
    assert clear(await Vault(new).open(sealed)) == ["ada@lovelace.example", None, "11", "12", "13", "14"]


async def test_a_vault_remembers_no_more_keys_than_it_may_and_none_for_too_long(
    keys: KeyStore, pool: asyncpg.Pool
) -> None:
    now = 0.0
    vault = Vault(keys, remembered=3, seconds=60, clock=lambda: now)
    sealed = await vault.seal([Personal(f"u-{number}", "email", SecretStr(str(number))) for number in range(5)])
    await pool.execute("DROP TABLE subject_keys")
    assert [await opens(vault, value) for value in sealed].count(True) == 3
    now = 60.0
    assert [await opens(vault, value) for value in sealed].count(True) == 0


async def opens(vault: Vault, sealed: Sealed) -> bool:
    try:
        return await vault.open([sealed]) != [None]
    except asyncpg.UndefinedTableError:
        return False
