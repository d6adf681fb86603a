"""All wiring of the greetings service, top to bottom."""

from __future__ import annotations

from eventlog import EventLog, EventTypes, Executor, Sealer, Watermark
from greetings import api, domain, handlers, projections, publish
from greetings.settings import GreetingsSettings
from messaging import Consumer, Relay, inbox, orders
from projections import Freshness, Runner
from service import (
    Commands,
    PersonalData,
    Queries,
    Service,
    connect_pool,
    connect_queries,
    create_api,
    find_migrations,
    kafka_check,
)


def create(settings: GreetingsSettings) -> Service:
    """The service, ready to run: nothing is connected or started yet."""
    pool = connect_pool(settings)
    engine = connect_queries(settings)
    watermark = Watermark(pool)
    log = EventLog(pool, EventTypes(domain.EVENTS), watermark)
    executor = Executor(log)

    kafka = settings.kafka_options()
    personal = PersonalData(settings, log, watermark, projections.ALL)
    runner = Runner(pool, log, watermark, projections.ALL)
    sealer = Sealer(pool, watermark, seconds=settings.seal_seconds)
    topics = (*publish.TOPICS, *orders.TOPICS)
    relay = Relay(log, watermark, kafka, settings.name, publish.publish, publishes=topics)
    # Offsets commit with the events that the messages led to; records of one key come in order.
    handle = inbox(handlers.translate, executor)
    consumer = Consumer(pool, kafka, settings.name, handlers.TOPICS, handle, sealing=personal.letters)

    commands, reads = Commands(settings.name, executor), Queries(settings.name, engine, pool)
    return Service(
        settings,
        create_api(settings, api.routes(commands, reads), title="Annals greetings", version="0.1.0", log=log),
        pool=pool,
        queries=engine,
        migrations=find_migrations("greetings"),
        personal=personal,
        workers=[watermark, runner, sealer, relay, consumer],
        checks=[kafka_check(settings, topics=[*handlers.TOPICS, publish.TOPIC])],
        lags={projection.schema: Freshness(pool, projection).lag for projection in projections.ALL},
    )
