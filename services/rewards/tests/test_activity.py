"""The activity half of the service as it runs: by HTTP, by Kafka, by several processes at once."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest
from rewards_deeds import NOON, listen, one_of_each, receipt

import eventlog
import privacy
from contracts import activity as told
from contracts.chain import Pool
from eventlog import EventLog, EventTypes, Executor, Metadata
from messaging import TopicSpec, ensure
from messaging.testing import eventually, read_all, send
from privacy import DEVELOPMENT, Keks, KeyStore, MonthKeys
from rewards import domain, handlers
from rewards.domain.rules import BUILT_IN, NOTICE
from rewards.recorder import Recorder, Reported
from rewards.reports import Origins
from rewards.rulebook import Rules
from rewards.simulation import simulate
from service.testing import Running

RULE = BUILT_IN[Pool.LISTENING].rule
KEY = {"idempotency-key": "k"}
ENDED = datetime.now(UTC) - timedelta(minutes=1)


@pytest.fixture
async def log(pool: asyncpg.Pool) -> EventLog:
    await pool.execute(eventlog.install_sql())
    return EventLog(pool, EventTypes(domain.EVENTS))


def reported(activity: domain.AnyActivity, at: datetime | None = None) -> Reported:
    return Reported(domain.Report(activity, str(uuid4()), at or activity.at))


async def why(client: httpx.AsyncClient, path: str, **more: Any) -> str:
    """The type of the problem that a request is answered with."""
    answer = await client.request(more.pop("method", "POST"), path, headers=KEY, **more)
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    return str(answer.json()["type"]).removeprefix("urn:annals:problem:")


# ---- over HTTP ------------------------------------------------------------------------------------------------------


async def test_every_kind_is_shown_with_its_reward_and_a_held_one_waits_for_an_officer(rewards: Running) -> None:
    await one_of_each(rewards)
    await rewards.shown()
    async with rewards.client("ada", "user") as ada, rewards.client("olga", "officer", "service") as olga:
        for path in ("listening-rewards", "sharing-rewards", "bandwidth-rewards", "votes", "referrals"):
            [item] = (await ada.get(f"/users/ada/{path}")).json()["items"]
            assert (item["outcome"], item["rule_version"]) == ("earned", 1), path
        assert len((await ada.get("/users/ada/skips")).json()["items"]) == 1
        assert await why(ada, "/users/eve/referrals", method="GET") == "not-yourself"
        assert await why(ada, "/holds", method="GET") == "forbidden"

        [hold] = (await olga.get("/holds")).json()["items"]
        assert (hold["user"], hold["kind"], hold["score_reasons"]) == ("eve", "referral", ["new-account", "bad-karma"])
        decided = (await olga.get(f"/rewards/{hold['reward_id']}")).json()
        assert (decided["outcome"], decided["reason"], decided["score"]) == ("held", "under-review", 40)

        review = f"/rewards/{hold['reward_id']}/review"
        approve = {"decision": "approve", "reason": "a friend"}
        approved = (await olga.post(review, json=approve, headers=KEY)).json()
        assert await why(olga, review, json=approve) == "not-held"
        correction = {"amount": "0", "reason": "no friend at all"}
        corrected = await olga.post(f"/rewards/{hold['reward_id']}/correction", json=correction, headers=KEY)
        after = {"annals-after": corrected.json()["token"]}
        [total] = (await olga.get("/totals/eve", headers=after)).json()
        worth = str(BUILT_IN[Pool.REFERRAL].rule.amount)
        assert (total["earned"], total["held"], total["corrected"]) == (worth, "0", f"-{worth}")
        assert approved["events"] == 1


async def test_the_same_id_with_other_contents_is_a_conflict_and_nothing_of_the_batch_is_recorded(
    rewards: Running,
) -> None:
    body = {"kind": "skip", "activity_id": "k1", "user": "ada", "track_id": "t1", "at": ENDED.isoformat()}
    async with rewards.client("ada", "user") as ada:

        async def post(*activities: dict[str, Any]) -> httpx.Response:
            return await ada.post("/activities", json={"activities": activities}, headers=KEY)

        assert (await post({**body, "listened_seconds": 3})).status_code == 200
        other = {**body, "activity_id": "k2", "listened_seconds": 3}
        conflict = await post(other, {**body, "listened_seconds": 4})
        assert (conflict.status_code, conflict.json()["activity_id"]) == (409, "k1")
        assert conflict.json()["type"] == "urn:annals:problem:activity-conflict"
        assert (await post(other)).json()["events"] == 1
        assert await why(ada, "/activities", json={"activities": [{**other, "address": "::1"}]}) == "address-not-yours"


async def test_a_forged_receipt_earns_nothing(rewards: Running) -> None:
    async with rewards.client("player", "service") as client:
        forged = receipt() | {"served_bytes": 500 << 20}
        answer = await client.post("/activities", json={"activities": [forged]}, headers=KEY)
        assert [(one["outcome"], one["reason"]) for one in answer.json()["results"]] == [("refused", "bad-signature")]


async def test_a_list_has_pages_and_a_tag_that_spares_sending_it_again(rewards: Running) -> None:
    async with rewards.client("player", "service") as client:
        activities = [
            {"kind": "listen", "activity_id": f"l{n}", "user": f"user{n % 3}", "track_id": f"t{n}",
             "listened_seconds": 99, "track_seconds": 100, "at": ENDED.isoformat()} for n in range(12)
        ]  # fmt: skip
        done = (await client.post("/activities", json={"activities": activities}, headers=KEY)).json()
        after = {"annals-after": done["token"]}
        first = await client.get("/users/user0/listening-rewards?limit=3", headers=after)
        rest = await client.get("/users/user0/listening-rewards", params={"cursor": first.json()["next"]})
        ids = {item["activity_id"] for page in (first, rest) for item in page.json()["items"]}
        assert (ids, rest.json()["next"]) == ({"l0", "l3", "l6", "l9"}, None)

        again = {"if-none-match": first.headers["etag"]}
        assert (await client.get("/users/user0/listening-rewards?limit=3", headers=again)).status_code == 304
        assert (await client.get("/users/user0/listening-rewards?limit=2", headers=again)).status_code == 200

        await client.get("/users/user0/periods", headers=after)  # waits for the totals
        board = (await client.get("/leaderboards/listening?period=ever&limit=2")).json()
        assert [(rank["user"], rank["earned"]) for rank in board["items"]] == [
            ("user2", str(4 * RULE.amount)), ("user1", str(4 * RULE.amount)),
        ]  # fmt: skip
        last = (await client.get("/leaderboards/listening", params={"period": "ever", "cursor": board["next"]})).json()
        assert [rank["user"] for rank in last["items"]] == ["user0"]
        [day] = (await client.get("/pools/listening/days")).json()["items"]
        assert (day["day"], day["earned"], day["times_earned"]) == (str(ENDED.date()), str(12 * RULE.amount), 12)


async def test_a_rule_is_changed_by_an_officer_ahead_of_its_time(rewards: Running) -> None:
    soon = datetime.now(UTC) + NOTICE - timedelta(minutes=1)
    change = {"effective_from": (soon + timedelta(days=1)).isoformat(), "parameters": {"amount": "5"}}
    async with rewards.client("olga", "officer") as olga, rewards.client("ada", "user") as ada:
        path = "/rules/listening"
        assert await why(ada, path, json=change) == "forbidden"
        assert await why(olga, path, json=change | {"effective_from": soon.isoformat()}) == "effective-too-soon"
        assert await why(olga, path, json=change | {"parameters": {"amounts": "5"}}) == "invalid-rule"
        assert await why(olga, "/rules/singing", json=change) == "not-found"
        assert (await olga.post(path, json=change, headers=KEY)).json()["events"] == 1
        assert (await olga.post(path, json=change, headers=KEY)).json()["events"] == 0
        versions = (await ada.get(path)).json()
        assert [(one["version"], one["author"], one["parameters"]["amount"]) for one in versions] == [
            (1, "built-in", str(RULE.amount)), (2, "olga", "5"),
        ]  # fmt: skip
        [now] = [rule for rule in (await ada.get("/rules")).json() if rule["kind"] == "listening"]
        assert now["version"] == 1


# ---- by Kafka -------------------------------------------------------------------------------------------------------


async def test_what_other_services_report_is_rewarded_once_and_a_contradiction_is_on_record(
    rewards: Running, kafka: str
) -> None:
    facts = {"user": "ada", "activity_id": "l1", "at": ENDED, "track_id": "t1", "track_seconds": 100}
    heard = told.ReportListen(**facts, listened_seconds=99, address_key="a" * 32)
    other = told.ReportListen(**facts, listened_seconds=98)
    vote = told.ReportVote(user="ada", activity_id="v1", at=ENDED, track_id="t1", like=True)
    await ensure(kafka, [TopicSpec(name) for name in handlers.TOPICS])  # it begins when all are there
    await send(kafka, ("ada", heard), ("ada", heard), ("ada", other), ("ada", vote))

    async def recorded() -> bool:
        return bool(await rewards.pool.fetchval("SELECT count(*) = 4 FROM events"))

    await eventually(recorded)  # the listen, the contradiction, the vote, and the place of the address
    await rewards.shown()
    async with rewards.client("ada", "user") as ada:
        items = (await ada.get("/users/ada/listening-rewards")).json()["items"]
        assert Counter(item["reason"] for item in items) == {None: 1, "conflict": 1}

    async def published() -> bool:
        types = [dict(record.headers)["ce_type"].decode() for record in await read_all(kafka, "rewards.events")]
        return sorted(types) == ["rewards.events.RewardEarned.v1", "rewards.events.VoteRecorded.v1"]

    await eventually(published)


# ---- several at once ------------------------------------------------------------------------------------------------


async def test_processes_that_decide_at_once_never_pass_the_limit_of_a_device(log: EventLog) -> None:
    recorders = [Recorder(log) for _ in range(4)]
    home = domain.Origin(device="d" * 32)

    async def busy(number: int) -> list[str]:
        found = []
        for turn in range(6):
            batch = [reported(listen(f"l{turn}{n}", f"user{number}{n}", origin=home)) for n in range(2)]
            outcome = await recorders[number].record(batch)
            found += [recorded.verdict.reason or recorded.verdict.outcome for recorded in outcome.recorded]
        return found

    outcomes = Counter(one for found in await asyncio.gather(*map(busy, range(4))) for one in found)
    granted = RULE.per_device_track_and_hour
    assert outcomes["earned"] + outcomes["under-review"] == granted
    assert outcomes["device-limit"] == 4 * 6 * 2 - granted


async def test_people_who_refer_each_other_at_once_do_not_both_succeed(log: EventLog) -> None:
    recorders = [Recorder(log), Recorder(log)]
    for pair in range(5):
        one, other = f"a{pair}", f"b{pair}"
        both = await asyncio.gather(
            recorders[0].record([reported(domain.Referral("r", one, NOON, domain.Origin(), other))]),
            recorders[1].record([reported(domain.Referral("r", other, NOON, domain.Origin(), one))]),
        )
        reasons = sorted(str(outcome.recorded[0].verdict.reason) for outcome in both)
        assert reasons[0] == "None", reasons
        assert reasons[1] in ("already-referred", "referral-cycle")


async def test_whoever_decides_after_a_rule_was_published_decides_by_it(log: EventLog) -> None:
    recorder, executor = Recorder(log), Executor(log)
    await recorder.record([reported(listen("l1"))])  # its book is read
    rule = domain.Rule(amount=7)
    command = domain.PublishRules(Pool.LISTENING, rule, NOON + NOTICE, "olga", NOON)
    async with log.pool.acquire() as conn, conn.transaction():
        await Rules(log).held(conn)  # a decision under way
        publishing = asyncio.create_task(Rules(log).publish(executor, handlers.publish_rules(command, Metadata())))

        async def waits() -> bool:
            waiting = "wait_event_type = 'Lock' AND datname = current_database()"
            return bool(await log.pool.fetchval(f"SELECT count(*) FROM pg_stat_activity WHERE {waiting}"))

        await eventually(waits)
    await publishing
    outcome = await recorder.record([reported(listen("l2", at=NOON + NOTICE)), reported(listen("l3", at=NOON))])
    assert [(one.verdict.amount, one.verdict.rule_version) for one in outcome.recorded] == [(7, 2), (RULE.amount, 1)]


# ---- what if --------------------------------------------------------------------------------------------------------


async def filled(log: EventLog) -> None:
    """Three days of 20 users, four to a device."""
    recorder = Recorder(log)
    for day in range(3):
        batch = [
            listen(f"l{day}-{n}", f"user{n % 20}", f"t{n % 7}", at=NOON + timedelta(days=day, minutes=n // 4),
                   origin=domain.Origin(device=f"{n % 5:032x}")) for n in range(200)
        ]  # fmt: skip
        await recorder.record([reported(one) for one in batch])


async def test_the_same_rules_come_to_the_same_and_others_to_what_they_say(log: EventLog) -> None:
    await filled(log)
    before = await log.pool.fetchval("SELECT count(*) FROM events")
    since, until = NOON + timedelta(days=1), NOON + timedelta(days=2)
    same = await simulate(log, "{}", since, until)
    assert (same.activities, same.reasons) == (200, {})
    assert same.pools["listening"].change == 0
    assert same.pools["listening"].before == sum(granted.before for granted in same.users.values()) > 0

    halved = await simulate(log, f'{{"listening": {{"amount": "{RULE.amount // 2}"}}}}', since, until)
    assert halved.pools["listening"].after == same.pools["listening"].before // 2
    nothing = await simulate(log, '{"listening": {"least_seconds": 250}}', since, until)
    assert nothing.pools["listening"].after == 0
    assert {after for _, _, after in nothing.reasons} == {"too-short"}
    assert await log.pool.fetchval("SELECT count(*) FROM events") == before


@pytest.mark.parametrize("rules", ["{", "[]", '{"singing": {}}', '{"listening": {"amounts": 1}}',
                                   '{"listening": {"amount": -1}}'])  # fmt: skip
async def test_rules_that_cannot_be_simulated_are_refused(log: EventLog, rules: str) -> None:
    with pytest.raises(LookupError, match="rules: "):
        await simulate(log, rules, NOON, NOON + timedelta(days=1))


# ---- who it was -----------------------------------------------------------------------------------------------------


async def test_addresses_and_devices_are_kept_as_keyed_hashes_only(pool: asyncpg.Pool) -> None:
    await pool.execute(privacy.install_sql())
    keys = KeyStore(pool, Keks.parse(DEVELOPMENT))
    months = MonthKeys(keys, "origins")
    origins, others = Origins("secret", keys, months), Origins("another secret", keys, months)
    found = await origins.of("192.0.2.7", "phone", ENDED)
    assert found.address is not None
    assert (len(found.address), found == await origins.of("192.0.2.7", "phone", ENDED)) == (32, True)
    assert found.address != (await others.of("192.0.2.7", "phone", ENDED)).address
    household = [await origins.of(f"2001:db8::{one}", None, ENDED) for one in (1, 2)]
    assert household[0] == household[1]
    assert household[0] != await origins.of("2001:db8:0:1::1", None, ENDED)
    assert await Origins("", keys, months).of("192.0.2.7", "phone", ENDED) == domain.Origin()


async def test_nobody_can_tell_where_something_came_from_when_the_key_of_its_month_is_gone(pool: asyncpg.Pool) -> None:
    january, december = datetime(2026, 1, 20, tzinfo=UTC), datetime(2025, 12, 20, tzinfo=UTC)
    await pool.execute(privacy.install_sql())
    keys = KeyStore(pool, Keks.parse(DEVELOPMENT))
    origins = Origins("secret", keys, MonthKeys(keys, "origins", lambda: january))
    now, then = [await origins.of("192.0.2.7", None, at) for at in (january, december)]
    assert None not in (now.address, then.address)
    assert now.address != then.address, "each month has a key of its own"
    hashed = domain.Origin("a" * 32, "b" * 32)
    assert await origins.of_hashed(hashed, january) not in (hashed, domain.Origin()), "hashed again"
    assert await origins.of("192.0.2.7", None, december - timedelta(days=60)) == domain.Origin()
    later = MonthKeys(keys, "origins", lambda: january + timedelta(days=20))
    assert await later.destroy_old() == 1
    assert list(await keys.find([later.of(january), later.of(december)])) == [later.of(january)]
