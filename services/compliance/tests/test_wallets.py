"""Wallets: whose they are, proven by signature."""

from __future__ import annotations

import sys
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from hypothesis import given as for_all
from hypothesis import strategies as st

from compliance.domain import (
    NotOnRecord,
    NotProven,
    ProveWallet,
    TooLate,
    UnlinkWallet,
    WalletChallenged,
    WalletLinked,
    WalletUnlinked,
    wallet,
)
from compliance.domain.wallet import LIFETIME
from contracts.testing import EPOCH, address
from eventlog.testing import given
from messaging.testing import eventually, read_all
from service.testing import Running
from tron.keys import Key

sys.path.append(str(Path(__file__).parent))

from said import get, link, post

MINE = address(1)


def challenged(subject: str = "ada", nonce: str = "n1") -> WalletChallenged:
    return WalletChallenged(MINE, subject, nonce, "annals.example", EPOCH)


def prove(subject: str = "ada", nonce: str = "n1", signer: str | None = MINE, seconds: int = 60) -> ProveWallet:
    return ProveWallet(MINE, subject, nonce, "51", signer, EPOCH + timedelta(seconds=seconds))


def linked(subject: str = "ada", nonce: str = "n1", taken_from: str | None = None) -> WalletLinked:
    return WalletLinked(MINE, subject, nonce, "51", taken_from)


# ---- the rules ---------------------------------------------------------------------------------------------------


def test_a_wallet_is_linked_by_the_signature_of_its_challenge() -> None:
    given(wallet).when(challenged()).then(challenged())
    given(wallet, challenged()).when(prove()).then(linked())
    given(wallet, challenged(), linked()).when(prove()).then_nothing()


def test_only_the_wallets_own_signature_proves_it() -> None:
    given(wallet, challenged()).when(prove(signer=address(2))).then_refused(NotProven, address(2))
    given(wallet, challenged()).when(prove(signer=None)).then_refused(NotProven, "nobody")


def test_a_challenge_is_of_one_subject_and_has_one_nonce() -> None:
    given(wallet).when(prove()).then_refused(NotProven, "no open challenge")
    given(wallet, challenged()).when(prove("bob")).then_refused(NotProven, "no open challenge")
    given(wallet, challenged(), challenged(nonce="n2")).when(prove()).then_refused(NotProven, "no open challenge")


def test_a_challenge_expires() -> None:
    seconds = int(LIFETIME.total_seconds())
    given(wallet, challenged()).when(prove(seconds=seconds - 1)).then(linked())
    given(wallet, challenged()).when(prove(seconds=seconds)).then_refused(TooLate, "expired at")


def test_a_wallet_changes_hands_by_a_fresh_proof_and_no_old_one_takes_it_back() -> None:
    history = (challenged(), linked(), challenged(nonce="n2"), challenged("bob", "n3"))
    given(wallet, *history).when(prove("bob", "n3")).then(linked("bob", "n3", taken_from="ada"))
    taken = (*history, linked("bob", "n3", taken_from="ada"))
    given(wallet, *taken).when(prove()).then_refused(NotProven)
    given(wallet, *taken).when(prove(nonce="n2")).then_refused(NotProven)


def test_only_its_owner_gives_a_wallet_up() -> None:
    gone = WalletUnlinked(MINE, "ada")
    given(wallet, challenged(), linked()).when(UnlinkWallet(MINE, "ada")).then(gone)
    given(wallet, challenged(), linked()).when(UnlinkWallet(MINE, "bob")).then_refused(NotOnRecord)
    given(wallet, challenged(), linked(), gone).when(UnlinkWallet(MINE, "ada")).then_nothing()
    given(wallet, challenged(), linked(), gone).when(prove()).then_refused(NotProven)


STEPS = st.tuples(st.sampled_from(["challenge", "prove", "unlink"]), st.sampled_from(["ada", "bob"]), st.integers(0, 3))


@for_all(st.lists(STEPS, max_size=20))
def test_whatever_is_asked_each_nonce_links_a_wallet_once_at_most(steps: list[tuple[str, str, int]]) -> None:
    events: list[Any] = []
    issued = 0
    for step, subject, number in steps:
        if step == "challenge":
            issued += 1
            command: Any = challenged(subject, f"n{issued}")
        else:
            command = prove(subject, f"n{number}") if step == "prove" else UnlinkWallet(MINE, subject)
        with suppress(NotProven, NotOnRecord):
            events += wallet.decide(command, wallet.fold(events))
    nonces = [event.nonce for event in events if isinstance(event, WalletLinked)]
    assert len(nonces) == len(set(nonces))
    asked = {(event.subject, event.nonce) for event in events if isinstance(event, WalletChallenged)}
    assert {(event.subject, event.nonce) for event in events if isinstance(event, WalletLinked)} <= asked


# ---- over HTTP ---------------------------------------------------------------------------------------------------


async def test_wallets_are_proven_taken_over_and_given_up(compliance: Running, kafka: str) -> None:
    one, two = Key(b"\x01" * 32), Key(b"\x02" * 32)
    async with compliance.client("ada", "user") as ada, compliance.client("bob", "user") as bob:
        forged = await link(ada, one, "ada", signing=two)
        assert (forged.status_code, forged.json()["type"]) == (409, "urn:annals:problem:not-proven")
        foreign = {"subject": "bob", "address": one.address}
        assert (await post(ada, "/wallets/challenges", foreign)).status_code == 403
        assert (await link(ada, one, "ada")).json()["events"] == 1
        done = await link(ada, two, "ada")
        shown = await get(ada, "/subjects/ada/wallets", done)
        assert {row["address"] for row in shown} == {one.address, two.address}
        assert (await bob.get("/subjects/ada/wallets")).status_code == 403

        await link(bob, one, "bob")
        done = await post(ada, "/wallets/unlink", {"subject": "ada", "address": two.address})
        assert await get(ada, "/subjects/ada/wallets", done) == []
        assert [row["address"] for row in await get(bob, "/subjects/bob/wallets", done)] == [one.address]
        lost = await post(ada, "/wallets/unlink", {"subject": "ada", "address": one.address})
        assert lost.status_code == 404

    async def told() -> bool:
        names = [
            dict(record.headers)["ce_type"].split(b".")[2] for record in await read_all(kafka, "compliance.events")
        ]
        return sorted(names) == [b"WalletLinked"] * 3 + [b"WalletUnlinked"]

    await eventually(told)
