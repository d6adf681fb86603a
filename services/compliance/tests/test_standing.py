"""What holds of an acceptance: languages, dates, wallets, withdrawals, whatever the order in which they came."""

from __future__ import annotations

import random
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from compliance import domain, handlers
from contracts.testing import EPOCH, address, source
from eventlog import EventLog, EventTypes, Executor, Intent, Metadata
from messaging.testing import send
from service.testing import Running
from tron.keys import Key

sys.path.append(str(Path(__file__).parent))

from said import TERMS, acceptance, accepted, get, link, post, publication, published, shown, text


def withdrawal(subject: str = "ada") -> dict[str, str]:
    return {"withdrawal_id": str(uuid4()), "subject": subject, "document_type": "terms"}


async def test_a_text_in_another_language_counts_like_the_first(compliance: Running) -> None:
    async with compliance.client("olga", "officer") as officer, compliance.client("ada", "user") as ada:
        await post(officer, "/documents", publication())
        german = {"version": 1, "language": "de", "content_hash": text(9), "uri": "https://x.example/de"}
        assert (await post(ada, "/acceptances", acceptance(content=text(9)))).status_code == 409
        await post(officer, "/documents/terms/translations", german)
        agreed = await post(ada, "/acceptances", acceptance(content=text(9)))
        assert (await get(ada, "/subjects/ada/accepted/terms", agreed))["accepted"]
        (version,) = (await get(officer, "/documents/terms", agreed))["items"]
        assert version["translations"] == {"de": text(9)}


async def test_a_version_is_in_force_from_its_time_until_the_next_or_its_sunset(compliance: Running) -> None:
    now = datetime.now(UTC)
    async with compliance.client("olga", "officer") as officer, compliance.client("ada", "user") as ada:
        await post(officer, "/documents", publication())
        await post(ada, "/acceptances", acceptance())
        later = {**publication(2), "effective_at": (now + timedelta(days=1)).isoformat()}
        done = await post(officer, "/documents", later)
        answer = await get(ada, "/subjects/ada/accepted/terms", done)
        assert (answer["accepted"], answer["current_version"]) == (True, 1)
        ahead = await get(ada, "/subjects/ada/accepted/terms", done, version=2)
        assert (ahead["accepted"], ahead["current_version"]) == (False, 1)
        listed = (await get(ada, "/documents/terms", done))["items"]
        assert [(one["version"], one["in_force"]) for one in listed] == [(2, False), (1, True)]

        soon = datetime.now(UTC) + timedelta(milliseconds=200)
        done = await post(officer, "/documents/terms/sunset", {"version": 1, "sunset_at": soon.isoformat()})
        assert (await get(ada, "/documents/terms", done))["items"][1]["sunset_at"] is not None
    query = "SELECT sunset_at FROM documents_v1.documents WHERE version = 1"
    assert await compliance.pool.fetchval(query) == soon


async def test_wallets_count_for_their_owner_and_a_withdrawal_takes_all_back(compliance: Running, kafka: str) -> None:
    key = Key(b"\x01" * 32)
    by_wallet = accepted(1)[1].model_copy(update={"account": key.address})
    await send(kafka, published(1), (f"compliance-registry/account/{key.address}", by_wallet))
    async with compliance.client("ada", "user") as ada, compliance.client("shop", "service") as shop:
        await shown(shop, "/documents/terms", 1)
        await shown(shop, "/acceptances", 1)
        path = "/subjects/ada/accepted/terms"
        assert not (await ada.get(path)).json()["accepted"]
        linked = await link(ada, key, "ada")
        assert (await get(ada, path, linked))["accepted"]
        question = {"subjects": ["bob", "ada", "bob"], "document_type": "terms"}
        answers = (await post(shop, "/accepted", question)).json()
        assert [(one["subject"], one["accepted"]) for one in answers] == [("bob", False), ("ada", True)]
        assert (await post(ada, "/accepted", question)).status_code == 403

        body = withdrawal()
        done = await post(ada, "/withdrawals", body)
        assert not (await get(ada, path, done))["accepted"]
        assert (await post(ada, "/withdrawals", body)).json()["events"] == 0
        again = await post(ada, "/acceptances", acceptance())
        assert (await get(ada, path, again))["accepted"]
        assert (await post(shop, "/withdrawals", withdrawal("bob"))).json()["events"] == 1
        assert (await post(ada, "/withdrawals", withdrawal("bob"))).status_code == 403


async def test_a_new_version_lists_who_must_accept_again(compliance: Running) -> None:
    key = Key(b"\x03" * 32)
    async with compliance.client("olga", "officer") as officer, compliance.client("root", "admin") as root:
        for version in (1, 2):
            await post(officer, "/documents", publication(version))
        for subject in ("ada", "bob", "cyd", "dot", "eve", key.address):
            await post(root, "/acceptances", acceptance(subject))
        await post(root, "/acceptances", acceptance("bob", 2))
        await post(root, "/withdrawals", withdrawal("cyd"))
        await link(root, key, "eve")
        done = await post(root, "/acceptances", acceptance("eve", 2))  # and with it the wallet's owner
        path = "/documents/terms/outstanding"
        first = await get(officer, path, done, version=2, limit=1)
        second = await get(officer, path, done, version=2, limit=1, cursor=first["next"])
        assert [one["subject"] for one in first["items"] + second["items"]] == ["ada", "dot"]
        assert second["next"] is None
        assert (await get(officer, path, done, version=1))["items"] == []


async def test_what_chain_and_api_do_not_agree_on_is_listed(compliance: Running, kafka: str) -> None:
    await send(kafka, accepted(1), accepted(2, content=text(9)), accepted(3, version=7))
    async with compliance.client("olga", "officer") as officer, compliance.client("root", "admin") as root:
        await shown(officer, "/acceptances", 3)
        await send(kafka, published(1))
        await shown(officer, "/documents/terms", 1)
        await post(root, "/acceptances", acceptance(address(1)))
        done = await post(root, "/acceptances", acceptance("ada"))
        path = "/documents/terms/discrepancies"
        first = await get(officer, path, done, limit=2)
        rest = await get(officer, path, done, limit=2, cursor=first["next"])
        found = {one["subject"]: one["finding"] for one in first["items"] + rest["items"]}
        assert found == {"ada": "not-on-chain", address(2): "wrong-text", address(3): "not-published"}


# ---- in any order ------------------------------------------------------------------------------------------------

PERSONS = 150
Facts = list[tuple[str, str, int, bool, datetime]]
"""Kind, name, version, whether it is the exact text, when."""


def facts_of(person: int, chance: random.Random) -> Facts:
    """What a person with a wallet does: at most one acceptance of each version by each name, and withdrawals."""
    names = (f"user-{person}", address(person))
    when = [EPOCH + timedelta(seconds=second) for second in chance.sample(range(1000), 8)]
    facts: Facts = [
        ("accept", name, version, chance.random() < 0.8, when.pop())
        for name in names for version in (1, 2) if chance.random() < 0.5
    ]  # fmt: skip
    facts += [("withdraw", name, 0, True, when.pop()) for name in names if chance.random() < 0.3]
    return facts + [("link", names[1], 0, True, EPOCH) for _ in range(chance.random() < 0.7)]


def expected(facts: Facts, person: int, version: int) -> datetime | None:
    names = {f"user-{person}"} | {name for kind, name, *_ in facts if kind == "link"}
    withdrawn = [at for kind, name, _, _, at in facts if kind == "withdraw" and name in names]
    since = max(withdrawn, default=EPOCH)
    found = [
        at
        for kind, name, number, exact, at in facts
        if kind == "accept" and name in names and (number, exact) == (version, True) and at > since
    ]
    return min(found, default=None)


def intents_of(fact: tuple[str, str, int, bool, datetime], person: int, texts: handlers.Hashes) -> Sequence[Intent]:
    kind, name, version, exact, at = fact
    if kind == "link":
        owner, nonce = f"user-{person}", "n"
        challenge = domain.WalletChallenged(name, owner, nonce, "x", at)
        proof = domain.ProveWallet(name, owner, nonce, "51", name, at)
        return [handlers.wallet(challenge, at, Metadata()), handlers.wallet(proof, at, Metadata())]
    if kind == "withdraw":
        command: Any = domain.WithdrawConsent(name, TERMS, str(uuid4()), at)
    else:
        content = text(version) if exact else text(version + 10)
        known = texts.get((TERMS, version))
        command = domain.RecordAcceptance(name, TERMS, version, content, known, domain.How.CHAIN, source(1))
    return [handlers.acceptance(command, at, Metadata())]


async def test_who_has_accepted_does_not_depend_on_the_order_in_which_the_facts_came(compliance: Running) -> None:
    chance = random.Random(7)
    log = EventLog(compliance.pool, EventTypes(domain.EVENTS))
    executor, texts = Executor(log), handlers.Facts(log)
    persons = {person: facts_of(person, chance) for person in range(PERSONS)}
    steps: list[Any] = [(person, fact) for person, facts in persons.items() for fact in facts] + [1, 2]
    chance.shuffle(steps)
    steps.sort(key=lambda step: step == 2)  # officers publish in order
    for start in range(0, len(steps), 40):
        hashes, intents = await texts.hashes(), []
        for step in steps[start : start + 40]:
            if isinstance(step, int):
                publish = domain.PublishDocument(TERMS, step, text(step), "ipfs://x", None, EPOCH, None)
                intents.append(handlers.document(publish, EPOCH, Metadata()))
            else:
                intents += intents_of(step[1], step[0], hashes)
        await executor.execute(intents, apart=True)  # another text, once that is known, is refused
    await compliance.shown()

    everybody = [f"user-{person}" for person in persons]
    async with compliance.client("shop", "service") as shop:
        for version in (1, 2):
            question = {"subjects": everybody, "document_type": "terms", "version": version}
            answers = (await post(shop, "/accepted", question)).json()
            found = {
                one["subject"]: one["accepted_at"] and datetime.fromisoformat(one["accepted_at"]) for one in answers
            }
            assert found == {f"user-{person}": expected(facts, person, version) for person, facts in persons.items()}
            assert 20 < sum(at is not None for at in found.values()) < PERSONS - 20
