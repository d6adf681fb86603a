"""Nonsense and malice, over HTTP and over Kafka, against running services: refused, counted, nothing else written."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer
from prometheus_client.parser import text_string_to_metric_families

from annals.demo import acts
from annals.demo.theatre import Theatre
from messaging.testing import eventually
from service.tokens import generate_keys, mint

pytestmark = pytest.mark.asyncio(loop_scope="module")

SERVICES = ["chain", "rewards", "royalties", "compliance"]
CONSUMED = {
    "rewards": ["chain.reward-vault"],
    "royalties": ["chain.music-nft", "chain.royalty-distributor"],
    "compliance": ["chain.compliance-registry"],
}
TOO_MUCH = str(2**256)
SHUTDOWN_SECONDS = 60


async def written(theatre: Theatre, service: str) -> int:
    """How many events a service has recorded, but for who was refused, here and (as compliance hears) elsewhere.

    The chain's ingestion goes on by itself.
    """
    counted = "SELECT count(*) FROM events WHERE stream <> 'cursor' AND type NOT IN ('RequestRefused', 'ActReported')"
    return int(await theatre.databases[service].fetchval(counted))


@asynccontextmanager
async def nothing_written(theatre: Theatre, service: str) -> AsyncIterator[None]:
    before = await written(theatre, service)
    yield
    assert await written(theatre, service) == before


@pytest_asyncio.fixture(scope="module", loop_scope="module", autouse=True)
async def _quiet(theatre: Theatre) -> None:
    """What was sent before has arrived, so that whatever is written now was written by the test."""
    await theatre.settled()


def is_problem(response: httpx.Response, status: int) -> None:
    assert response.status_code == status, f"{response.request.method} {response.request.url}: {response.text[:500]}"
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == status
    assert problem["type"].startswith("urn:annals:problem:")
    assert problem["title"]


# ---- HTTP: who is asking ----------------------------------------------------------------------------------------


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Every operation of an OpenAPI document that needs a token, with something in the place of each parameter."""
    for path, methods in document["paths"].items():
        for method, described in methods.items():
            if described.get("security"):
                yield method.upper(), path.replace("{", "").replace("}", "")


@pytest.mark.parametrize("service", SERVICES)
async def test_without_a_good_token_nothing_is_answered(theatre: Theatre, service: str) -> None:
    async with (
        nothing_written(theatre, service),
        httpx.AsyncClient(base_url=theatre.directory.urls[service], timeout=120) as client,
    ):
        routes = list(operations((await client.get("/openapi.json")).json()))
        assert len(routes) >= 6
        forged = {"authorization": f"Bearer {mint(generate_keys()[0], 'mallory', ['admin'])}"}
        for method, path in routes:  # with every other bad token, and every role: tests/access
            is_problem(await client.request(method, path), 401)
            is_problem(await client.request(method, path, headers=forged), 401)


async def test_a_role_that_a_route_does_not_know_is_not_enough(theatre: Theatre) -> None:
    for service, path in {
        "chain": "/status",
        "rewards": "/pools",
        "royalties": "/sales",
        "compliance": "/documents",
    }.items():
        async with theatre.client(service, "tourist") as client:
            is_problem(await client.get(path), 403)


# ---- HTTP: what is asked ----------------------------------------------------------------------------------------

LISTEN = {
    "kind": "listen",
    "activity_id": "l1",
    "user": "alice",
    "track_id": "1",
    "listened_seconds": 100,
    "track_seconds": 200,
    "at": "2026-01-01T00:00:00Z",
}
VOTE = {name: LISTEN[name] for name in ("activity_id", "user", "track_id", "at")} | {"kind": "vote", "like": True}
ACCEPTANCE = {"subject": "alice", "document_type": "terms", "version": 1, "content_hash": acts.digest("terms 1").hex()}


def wrong(good: dict[str, Any], **by_field: list[Any]) -> Iterator[dict[str, Any]]:
    """Bodies with one thing wrong each."""
    for field, values in by_field.items():
        for value in values:
            yield {**good, field: value}
        yield {name: value for name, value in good.items() if name != field}
    yield {**good, "surprise": 1}


NO_ACTIVITIES: list[Any] = [[], [LISTEN] * 501, {}, None, "x"]
NUMBERS = [-1, 1.5, 2**64, 1e400, True, "7", None, [], {}]
WRONG_BODIES: dict[tuple[str, str], list[Any]] = {
    ("rewards", "/activities"): [
        *(
            {"activities": [body]}
            for body in wrong(LISTEN, listened_seconds=NUMBERS, at=["soon", 7], user=["", "a b"], kind=["sing", 7])
        ),
        *({"activities": [body]} for body in wrong(VOTE, like=[1, "yes", None], track_id=["x" * 101, "\u0000"])),
        *({"activities": activities} for activities in NO_ACTIVITIES),
        [],
        None,
    ],
    ("rewards", "/rules/listening"): list(
        wrong({"effective_from": "2030-01-01T00:00:00Z", "parameters": {"amount": "1"}}, effective_from=["soon", 7])
    )
    + [
        {"effective_from": "2030-01-01T00:00:00Z", "parameters": parameters}
        for parameters in ({}, {"amount": -1}, {"amount": 1.5}, {"amounts": 1}, {"roll_over": "some"}, [], None)
    ],
    ("compliance", "/acceptances"): list(
        wrong(
            ACCEPTANCE,
            version=[0, -1, 1.5, 2**32, 2**256, True, "1", None],
            content_hash=["00", "z" * 64, 7],
            document_type=["spam", 0, None],
            subject=["alice@example.org", "x" * 101],
        )
    ),
    ("compliance", "/deletion-requests"): list(
        wrong(
            {"request_id": "00000000-0000-4000-8000-000000000001", "subject": "alice", "law": "gdpr"},
            law=[0, "none"],
            request_id=["x", 7],
        )
    ),
}


@pytest.mark.parametrize(("service", "path"), WRONG_BODIES)
async def test_a_wrong_body_is_refused_with_the_field_that_is_wrong(theatre: Theatre, service: str, path: str) -> None:
    headers = {"idempotency-key": "wrong", "content-type": "application/json"}
    async with nothing_written(theatre, service), theatre.client(service) as client:
        for body in WRONG_BODIES[service, path]:
            response = await client.post(path, content=json.dumps(body), headers=headers)
            is_problem(response, 422)
        for text in (b"{", b"[1,]", b"\xff\xfe", b"", b'{"a": 01}', b"[" * 100_000, b'"\\ud800"'):
            response = await client.post(path, content=text, headers=headers)
            is_problem(response, response.status_code)
            assert response.status_code in (400, 422), text[:20]
        is_problem(await client.post(path, content=b"x" * (1 << 20) + b"x", headers=headers), 413)
        is_problem(await client.post(path, content=endless(), headers=headers), 413)
        is_problem(await client.post(path, content=b"{}", headers={**headers, "content-type": "text/plain"}), 415)
        is_problem(
            await client.post(path, json=WRONG_BODIES[service, path][-1], headers={"idempotency-key": "a b"}), 400
        )
        assert (await client.get("/health")).status_code == 200


async def endless() -> AsyncIterator[bytes]:
    """A body that does not say how long it is, and is long."""
    for _ in range(64):
        yield b" " * 65_536


WRONG_PATHS = {
    "chain": [
        "/balances/T123",
        "/transactions/xyz",
        f"/nfts/{TOO_MUCH * 2}",
        "/nfts/-1",
        "/nfts/1.5",
        "/events?limit=0",
        "/events?limit=-1",
        "/events?limit=1e9",
        "/events?first_block=-1",
        f"/events?first_block={2**63}",
        "/events?cursor=%00",
        "/events?since=yesterday",
        "/tracks?q=",
        "/analytics/events?by=week",
    ],
    "rewards": ["/claims?limit=100000", "/claims?cursor=xyz", "/users/a%20b/listening-rewards", "/totals/%00"],
    "royalties": [
        f"/sales/{TOO_MUCH}",
        "/sales/-1",
        "/sales/1.5",
        "/sales/1e3",
        f"/tracks/{TOO_MUCH}/splits",
        "/artists/no@body/earnings",
        "/parties/a@b/statement",
        "/sales?track_id=-1",
    ],
    "compliance": [
        "/acceptances?cursor=xyz",
        "/subjects/alice/accepted/terms?version=0",
        "/subjects/alice/accepted/terms?version=1.5",
        f"/subjects/alice/accepted/terms?version={2**32}",
        "/deletion-requests/xyz",
        "/deletion-requests?state=none",
    ],
}


@pytest.mark.parametrize("service", SERVICES)
async def test_a_wrong_question_is_refused(theatre: Theatre, service: str) -> None:
    async with nothing_written(theatre, service), theatre.client(service) as client:
        for path in WRONG_PATHS[service]:
            response = await client.get(path)
            is_problem(response, response.status_code)
            assert response.status_code in (400, 422), f"{path}: {response.text}"
        is_problem(await client.get("/no/such/thing"), 404)
        is_problem(await client.delete("/openapi.json"), 405)


# ---- Kafka ------------------------------------------------------------------------------------------------------

FIRST_TYPE: dict[str, tuple[str, dict[str, Any]]] = {
    "chain.reward-vault": ("chain.reward-vault.PoolFunded.v1", {"pool": 1, "funder": "{account}", "amount": "1"}),
    "chain.music-nft": (
        "chain.music-nft.PrimarySale.v1",
        {"token_id": "1000001", "track_id": "1", "buyer": "{account}", "artist": "{account}", "price_sun": "1"},
    ),
    "chain.royalty-distributor": (
        "chain.royalty-distributor.Withdrawn.v1",
        {"account": "{account}", "amount_sun": "1"},
    ),
    "chain.compliance-registry": (
        "chain.compliance-registry.DocumentPublished.v1",
        {"document_type": 0, "version": 2, "content_hash": "0" * 64, "uri": "x"},
    ),
}
"""A type that each topic carries, with its fields but for the source."""

Headers = list[tuple[str, bytes]]


def headers_of(ce_type: str, /, **changed: bytes | None) -> Headers:
    standard: dict[str, bytes | None] = {
        "ce_specversion": b"1.0",
        "ce_id": b"hostile-1",
        "ce_source": b"/mallory",
        "ce_type": ce_type.encode(),
        "content-type": b"application/json",
    }
    return [(name, value) for name, value in (standard | changed).items() if value is not None]


def hostile(topic: str, account: str) -> Iterator[tuple[bytes | None, Headers]]:
    """Values and headers of records that are no valid messages, each in its own way."""
    ce_type, fields = FIRST_TYPE[topic]
    source = {
        "contract": account,
        "block_number": 1,
        "block_hash": "0" * 64,
        "block_time": "2026-01-01T00:00:00Z",
        "tx_id": "0" * 64,
        "log_index": 0,
    }
    good = {name: account if value == "{account}" else value for name, value in fields.items()} | {"source": source}
    body = json.dumps(good).encode()
    named = headers_of(ce_type)
    yield b"\x00\xff garbage \x80", []
    yield b"\x00\xff garbage \x80", named
    yield None, named
    yield b"", named
    yield b"[]", named
    yield b"[" * 200_000, named
    yield b" " * (1 << 20) + body, named
    yield body, headers_of(ce_type, ce_id=None)
    yield body, headers_of(ce_type, ce_type=None)
    yield body, headers_of(ce_type, ce_specversion=b"0.3")
    yield body, headers_of(ce_type, ce_id=b"\xff\xfe")
    yield body, [*named, ("ce_id", b"twice")]
    yield body, [*named, *((f"ce_x{number}", b"x") for number in range(100))]
    yield json.dumps({**good, "source": {**source, "log_index": -1}}).encode(), named
    yield json.dumps({**good, "source": None}).encode(), named
    for field in fields:
        yield json.dumps({name: value for name, value in good.items() if name != field}).encode(), named
    if amount := next((name for name in fields if name.startswith(("amount", "price"))), None):
        for value in (-1, "-1", 1.5, "1.5", 1e30, True, TOO_MUCH, 2**256, "0x10", "١", " 1"):
            yield json.dumps({**good, amount: value}).encode(), named
    else:
        for value in (-1, 0, 1.5, 2**32, True, "x"):
            yield json.dumps({**good, "version": value}).encode(), named


async def measured(theatre: Theatre, service: str, metric: str) -> float:
    """The sum of a counter over all its labels."""
    async with httpx.AsyncClient(timeout=120) as client:
        text = (await client.get(f"{theatre.directory.urls[service]}/metrics")).text
    families = {family.name: family for family in text_string_to_metric_families(text)}
    return sum(sample.value for sample in families[metric].samples if sample.name == f"{metric}_total")


@pytest.mark.parametrize("service", list(CONSUMED))
async def test_hostile_records_are_put_aside_and_counted_and_the_service_goes_on(
    theatre: Theatre, service: str
) -> None:
    database, sent, account = theatre.databases[service], 0, theatre.stage.cast.admin.address
    put_aside = "SELECT count(*) FROM parked WHERE reason = 'malformed'"
    unknown = await measured(theatre, service, "annals_consumer_unknown_messages")
    producer = AIOKafkaProducer(
        bootstrap_servers=theatre.directory.environment["ANNALS_KAFKA_BOOTSTRAP"], max_request_size=2 * 1024 * 1024
    )
    async with nothing_written(theatre, service):
        await producer.start()
        try:
            for topic in CONSUMED[service]:
                for value, headers in hostile(topic, account):
                    sent += 1
                    await producer.send(topic, value, f"hostile/{sent}".encode(), headers=headers)
                await producer.send(topic, b"{}", b"strange", headers=headers_of(f"{topic}.NeverHeardOf.v9"))
                await producer.send(topic, b"{}", None, headers=headers_of(FIRST_TYPE[topic][0]))
                sent += 1
            await producer.flush()
        finally:
            await producer.stop()

        async def all_put_aside() -> bool:
            return int(await database.fetchval(put_aside)) >= sent

        await eventually(all_put_aside)
    assert await database.fetchval(put_aside) == sent
    assert await database.fetchval("SELECT count(*) FROM parked") == sent
    assert await measured(theatre, service, "annals_consumer_malformed_messages") >= sent

    async def unknown_counted() -> bool:  # they have another key, so another partition; read again, they count again
        found = await measured(theatre, service, "annals_consumer_unknown_messages")
        return found >= unknown + len(CONSUMED[service])

    await eventually(unknown_counted)
    await theatre.town.until_ready(service)


async def test_what_comes_after_hostile_records_takes_effect_and_a_stop_under_load_is_clean(theatre: Theatre) -> None:
    playing = asyncio.create_task(acts.main_act(theatre.stage, theatre.scale, seed=1))
    for service in SERVICES:
        await asyncio.sleep(0.3)
        theatre.town.terminate(service)
        assert await theatre.town.ended(service, SHUTDOWN_SECONDS) == 0
        await theatre.town.restart(service)
    await playing
    await theatre.settled()
