"""`annals status` and `annals health` of a small service: as it runs, and with one thing after the other taken away."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest
import sqlalchemy as sa
from pydantic_settings import SettingsConfigDict
from typer.testing import CliRunner

import eventlog
import messaging
import projections
from annals import health, services, status
from annals.cli import app
from annals.services import Installed
from annals.status import RelayStatus, ServiceStatus, collect
from eventlog import EventLog, EventTypes, RecordedEvent, Watermark
from local_stack.process import free_port
from messaging import Consumer, Relay, TopicSpec
from messaging.leader import instance
from messaging.testing import Counted, CountedMessage, count, delete_topics, eventually, publish_to, send
from projections import Freshness, Projection, Rows, Runner, on
from service import Router, Service, ServiceSettings, connect_pool, create_api
from service.health import CheckResult
from service.tokens import generate_keys

LATE = 60.0
TYPES = EventTypes({"Counted.v1": Counted})
TOPIC, WINDOW = "shop.events", "shop.window"

counters = sa.Table(
    "counters", sa.MetaData(), sa.Column("counter", sa.Text, primary_key=True), sa.Column("number", sa.BigInteger)
)


class Counters(Projection):
    name, version = "counters", 1
    tables = (counters,)

    @on(Counted)
    def counted(self, event: Counted, recorded: RecordedEvent, rows: Rows) -> None:
        if event.number == 13:
            raise ValueError("an unlucky number")
        rows.upsert(counters, {"counter": recorded.stream}, number=event.number)


class ShopSettings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="SHOP_")


async def nothing(*_: object) -> None:
    """What the shop does with messages."""


def create(settings: ShopSettings) -> Service:
    pool = connect_pool(settings)
    watermark = Watermark(pool)
    log = EventLog(pool, TYPES, watermark)
    kafka = settings.kafka_options()
    workers = [
        watermark,
        Runner(pool, log, watermark, [Counters()]),
        Relay(log, watermark, kafka, "shop", publish_to(TOPIC), publishes=[TopicSpec(TOPIC)]),
        Relay(
            log, watermark, kafka, WINDOW, publish_to(WINDOW), publishes=[TopicSpec(WINDOW)], copy=False, seals=False
        ),
        Consumer(pool, kafka, "shop", [CountedMessage.topic], nothing),
    ]
    api = create_api(settings, Router(), title="shop", version="0")
    return Service(settings, api, pool=pool, workers=workers, lags={"counters": Freshness(pool, Counters).lag})


@dataclass(frozen=True)
class Shop(Installed):
    """The service, with what its files would hold."""

    create = staticmethod(create)
    projections = (Counters(),)
    types = TYPES
    relayed = {"shop": "events", WINDOW: "window_entries"}  # noqa: RUF012 - as in its files


@pytest.fixture
def shop(database: str, kafka: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ShopSettings:
    """The settings of the only service that is installed."""
    monkeypatch.setattr(services, "installed", lambda: {"shop": Shop("shop", "shop")})
    monkeypatch.setattr(status, "ANSWER_SECONDS", 30)  # only one test is about servers that say nothing
    monkeypatch.setenv("ANNALS_HOME", str(tmp_path))
    monkeypatch.setenv("SHOP_DATABASE_URL", database)
    monkeypatch.setenv("SHOP_HTTP_PORT", str(free_port()))
    monkeypatch.setenv("ANNALS_KAFKA_BOOTSTRAP", kafka)
    monkeypatch.setenv("ANNALS_JWT_PUBLIC_KEY", generate_keys()[1])
    return ShopSettings()


@pytest.fixture
async def log(pool: asyncpg.Pool, kafka: str) -> EventLog:
    """The shop's log, in a database with all tables; its topics are not there yet."""
    await delete_topics(kafka)
    for library in (eventlog, projections, messaging):
        await pool.execute(library.install_sql())
    await pool.execute("CREATE VIEW window_entries AS SELECT position, recorded_at FROM events WHERE version = 1")
    return EventLog(pool, TYPES)


@pytest.fixture
async def running(shop: ShopSettings, log: EventLog, kafka: str) -> AsyncIterator[None]:
    """The shop, ready and led."""
    await send(kafka, ("counter/1", CountedMessage(number=1)))
    stop = asyncio.Event()
    serving = asyncio.create_task(create(shop).serve(stop))

    async def ready() -> bool:
        [found] = await collect(LATE)
        return found.ready and all(relay.leader for relay in found.relays) and bool(found.consumers)

    await eventually(ready)
    yield
    stop.set()
    await serving


async def only() -> ServiceStatus:
    [found] = await collect(LATE)
    return found


@pytest.mark.usefixtures("running")
async def test_a_service_that_runs_shows_everything_that_reads_its_log(log: EventLog) -> None:
    await count(log, "counter/1", 1, 10)

    async def settled() -> bool:
        found = await only()
        return found.ok and [relay.position for relay in found.relays] == [10, 10]

    await eventually(settled)
    found = await only()
    assert found.problems == []
    assert found.log is not None
    assert (found.log.position, found.log.bytes > 0) == (10, True)
    [projection] = found.projections
    assert (projection.name, projection.position, projection.lag_events, projection.lag_seconds) == (
        "counters",
        10,
        0,
        0,
    )
    [consumer] = found.consumers
    assert (consumer.group, consumer.topic, consumer.partitions) == ("shop", "testing.events", 4)
    assert (consumer.lag_messages, consumer.lag_seconds, consumer.owners) == (0, 0, (instance(),))
    assert found.relays == (
        RelayStatus("shop", instance(), (), 10, 0, 0), RelayStatus("shop.window", instance(), (), 10, 0, 0)
    )  # fmt: skip


@pytest.mark.usefixtures("running")
async def test_a_service_that_runs_is_well_as_seen_from_here_and_by_itself() -> None:
    [found] = await health.examine()
    assert found.problems == []
    assert found.ok
    assert found.from_here.keys() == {"auth", "database", "lag:counters", "process"}
    assert found.by_itself.keys() > {"auth", "database", "lag:counters"}


async def test_what_is_away_is_told_apart_from_what_answers(
    shop: ShopSettings, log: EventLog, pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    [found] = await health.examine()
    assert [problem.partition(":")[0] for problem in found.problems] == ["process"]
    assert found.by_itself == {}
    monkeypatch.setenv("SHOP_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/shop")
    [found] = await health.examine()
    assert [name for name, result in found.from_here.items() if not result.ok] == [
        "database",
        "lag:counters",
        "process",
    ]


def test_what_a_process_has_found_is_told_as_its_own() -> None:
    good, bad = (CheckResult(ok=ok, detail="2 brokers", vital=True, seconds=0.1) for ok in (True, False))
    found = health.ServiceHealth("shop", {"kafka": good, "process": bad}, {"kafka": bad})
    assert found.problems == ["process: 2 brokers", "the process says: kafka: 2 brokers"]
    assert not found.ok


@pytest.mark.usefixtures("shop", "log")
def test_the_health_command_names_what_failed_and_ends_with_an_error_code() -> None:
    ended = CliRunner().invoke(app, ["health"])
    assert ended.exit_code == 1
    assert "shop not well" in " ".join(ended.stdout.split())
    assert "! process: " in ended.stdout
    [found] = json.loads(CliRunner().invoke(app, ["health", "--json"]).stdout)
    assert (found["name"], found["ok"], found["from_here"]["process"]["ok"]) == ("shop", False, False)


@pytest.mark.usefixtures("running")
async def test_what_was_put_aside_is_a_problem(log: EventLog) -> None:
    await count(log, "counter/1", 12, 15)

    async def parked() -> bool:
        return (await only()).problems == ["projection counters: 3 events of 1 keys are put aside"]

    await eventually(parked)
    assert not (await only()).ok


async def test_a_service_that_is_down_shows_how_far_everything_lags(
    shop: ShopSettings, log: EventLog, pool: asyncpg.Pool
) -> None:
    await count(log, "counter/1", 1, 10)
    await pool.execute("INSERT INTO checkpoints (subscription, position, fingerprint) VALUES ('counters_v1', 4, '')")
    [found] = await collect(late_seconds=0)
    assert not found.ready
    assert [(r.name, r.leader, r.position, r.lag_events) for r in found.relays] == [
        ("shop", None, 0, 10), ("shop.window", None, 0, 1)
    ]  # fmt: skip
    assert all((relay.lag_seconds or 0) > 0 for relay in found.relays)
    assert [(p.position, p.lag_events, p.lag_seconds > 0) for p in found.projections] == [(4, 6, True)]
    assert [problem.partition(":")[0] for problem in found.problems] == [
        "http", "projection counters",
        "relay", "relay", "relay shop.window", "relay shop.window",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("variable", "value", "problem"),
    [
        ("SHOP_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/shop", "database: "),
        ("ANNALS_KAFKA_BOOTSTRAP", "127.0.0.1:1", "Kafka: "),
    ],
)
async def test_a_server_that_is_down_is_a_problem_and_keeps_nobody_waiting(
    variable: str, value: str, problem: str, shop: ShopSettings, log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    await count(log, "counter/1", 1, 10)
    monkeypatch.setenv(variable, value)
    found = await only()
    assert [one for one in found.problems if one.startswith(problem)] != []
    assert (found.log is None) is (problem == "database: ")
    unknown = () if found.log is None else ("shop", "shop.window")
    assert found.relays == tuple(RelayStatus(name, None, (), None, None, None) for name in unknown)  # not: far behind


async def test_a_wrong_setting_of_a_service_is_a_problem_of_its_own(
    shop: ShopSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_POOL_MAX", "many")
    assert [problem.partition(":")[0] for problem in (await only()).problems] == ["settings"]


@pytest.mark.usefixtures("running")
async def test_the_partition_whose_next_message_has_waited_longest_is_the_slowest(
    pool: asyncpg.Pool, kafka: str
) -> None:
    async def slowest() -> tuple[int | None, ...]:
        return tuple(consumer.slowest_partition for consumer in (await only()).consumers)

    await eventually(lambda: settled_at(slowest, (None,)))
    [partition] = await pool.fetch("SELECT partition FROM offsets WHERE next_offset > 0")
    await pool.execute("UPDATE offsets SET next_offset = 0 WHERE next_offset > 0")
    assert await slowest() == (partition["partition"],)


async def settled_at(look: Callable[[], Awaitable[object]], expected: object) -> bool:
    return await look() == expected


async def test_services_are_imported_before_any_server_is_asked(
    shop: ShopSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []

    class Noted(Shop):
        @property
        def types(self) -> EventTypes:  # type: ignore[override]  # found late, as those of a service are
            order.append("import")
            return TYPES

    async def ask(url: str) -> None:
        order.append("ask")
        raise ValueError

    both = {name: Noted(name, name) for name in ("first", "second")}
    monkeypatch.setattr(services, "installed", lambda: both)
    monkeypatch.setattr(status, "ask", ask)
    assert len(await collect(LATE)) == 2
    assert order[:3] == ["import", "import", "ask"]


async def test_a_server_that_says_nothing_is_given_up_after_a_while(
    shop: ShopSettings, log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status, "ANSWER_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        monkeypatch.setenv("SHOP_HTTP_PORT", str(port))
        monkeypatch.setenv("SHOP_DATABASE_URL", f"postgresql://nobody@127.0.0.1:{port}/shop")
        found = await only()
    assert found.problems == [
        f"http://127.0.0.1:{port}: no answer within 0.5 s", "database: no answer within 0.5 s"
    ]  # fmt: skip


@pytest.fixture
def shown(shop: ShopSettings, monkeypatch: pytest.MonkeyPatch) -> list[ServiceStatus]:
    """What the command finds."""
    report = [
        ServiceStatus(
            "shop",
            "http://shop",
            version="1",
            ready=True,
            relays=(RelayStatus("shop", "a:1", ("b:2",), 7, 2, 1.5), RelayStatus("shop.window", "a:1", (), 3, 0, 0.0)),
        )
    ]

    async def found(late_seconds: float, names: Sequence[str]) -> list[ServiceStatus]:
        return report

    monkeypatch.setattr(status, "collect", found)
    return report


def test_the_command_says_who_leads_and_ends_well(shown: list[ServiceStatus]) -> None:
    ended = CliRunner().invoke(app, ["status"])
    assert ended.exit_code == 0
    assert "shop  ready" in ended.stdout
    shown_text = " ".join(ended.stdout.split())
    assert "relay shop.relay 7 2 1.5 led by a:1, 1 standing by" in shown_text
    assert "relay shop.window.relay 3 0 0.0 led by a:1" in shown_text


def test_the_command_shows_the_slowest_partition(shown: list[ServiceStatus]) -> None:
    divided = {"position": 4, "furthest": 9, "lag_events": 5, "lag_seconds": 1.5, "partitions": 3}
    rest = {"parked_keys": 0, "parked_events": 0, "generations": {"counters_v1": 4}}
    shown[0].projections = (projections.Status(name="counters", version=1, schema="counters_v1", **divided, **rest),)
    ended = CliRunner().invoke(app, ["status"])
    assert "projection counters v1 4 5 1.5 slowest of 3 partitions" in " ".join(ended.stdout.split())


def test_the_command_ends_with_an_error_code_and_says_what_is_wrong(shown: list[ServiceStatus]) -> None:
    shown[0].problems.append("relay: no instance leads")
    ended = CliRunner().invoke(app, ["status"])
    assert ended.exit_code == 1
    assert "! relay: no instance leads" in ended.stdout
    assert CliRunner().invoke(app, ["status", "--json"]).exit_code == 1


def test_watching_looks_again_until_it_is_interrupted(
    shown: list[ServiceStatus], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0

    def sleep(seconds: float) -> None:
        nonlocal looks
        looks += 1
        if looks == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", sleep)
    ended = CliRunner().invoke(app, ["status", "--watch", "--json"])
    assert ended.exit_code == 0
    assert len(ended.stdout.splitlines()) == 3
