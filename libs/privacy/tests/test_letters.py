"""Letters that nobody could take in: sealed under the key of whom they name, else of their month."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from privacy import KeyStore, Letters, MonthKeys, Vault

NOVEMBER = datetime(2026, 11, 22, tzinfo=UTC)


def months(keys: KeyStore, now: datetime = NOVEMBER) -> MonthKeys:
    return MonthKeys(keys, "letters", lambda: now)


@pytest.fixture
def letters(vault: Vault, keys: KeyStore) -> Letters:
    return Letters(vault, keys, months(keys))


def subject_of(sealed: bytes) -> str:
    return str(json.loads(sealed)["subject"])


async def test_a_letter_is_sealed_for_whom_its_key_names_else_for_the_month(letters: Letters) -> None:
    bodies = [(b"u-1", b"Ada \xff"), (None, b"Bob"), (b"claims/7", b""), (b"\xff", b"Eve"), (b"a b@c", b"Joe")]
    sealed = await letters.seal(bodies)
    assert [subject_of(one) for one in sealed] == ["u-1", *["letters/2026-11"] * 4]
    assert [await letters.open(one) for one in sealed] == [body for _, body in bodies]
    assert not any(body in b"".join(sealed) for _, body in bodies if body)


async def test_a_letter_is_lost_with_the_key_of_whom_it_names(letters: Letters, keys: KeyStore) -> None:
    [ada, nobodys] = await letters.seal([(b"u-1", b"Ada"), (None, b"Bob")])
    await keys.erase(["u-1"])
    fresh = Letters(Vault(keys), keys, months(keys))
    assert await fresh.open(ada) is None
    assert await fresh.open(nobodys) == b"Bob"


async def test_a_letter_about_an_erased_person_is_kept_for_the_month_only(letters: Letters, keys: KeyStore) -> None:
    await keys.erase(["u-1"])
    [sealed] = await letters.seal([(b"u-1", b"Ada")])
    assert subject_of(sealed) == "letters/2026-11"
    assert await letters.open(sealed) == b"Ada"


@pytest.mark.parametrize(
    ("now", "is_kept"),
    [
        (datetime(2026, 11, 30, tzinfo=UTC), True),
        (datetime(2026, 12, 30, tzinfo=UTC), True),
        (datetime(2026, 12, 31, tzinfo=UTC), False),
        (datetime(2028, 11, 30, tzinfo=UTC), False),
    ],
)
async def test_the_key_of_a_month_is_destroyed_thirty_days_after_it(
    letters: Letters, keys: KeyStore, now: datetime, is_kept: bool
) -> None:
    [sealed] = await letters.seal([(None, b"Ada")])
    later = months(keys, now)
    assert later.is_kept(NOVEMBER) == is_kept
    assert await later.destroy_old() == (0 if is_kept else 1)
    assert await Letters(Vault(keys), keys, later).open(sealed) == (b"Ada" if is_kept else None)
    assert await later.destroy_old() == 0


def test_a_month_to_come_has_no_key(keys: KeyStore) -> None:
    assert not months(keys).is_kept(datetime(2026, 12, 1, tzinfo=UTC))
