"""All wiring of the compliance service, top to bottom."""

from __future__ import annotations

from compliance import api, domain, handlers, projections, publish
from compliance.anchoring import Anchorer
from compliance.collecting import Collector
from compliance.finding import Finder
from compliance.overdue import Overdue
from compliance.settings import ComplianceSettings
from eventlog import EventLog, EventTypes, Executor, Sealer, Watermark
from messaging import Consumer, Relay, orders
from messaging.acts import TOPIC as ACTS
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


def create(settings: ComplianceSettings) -> Service:
    """The service, ready to run: nothing is connected or started yet."""
    pool = connect_pool(settings)
    engine = connect_queries(settings)
    watermark = Watermark(pool)
    log = EventLog(pool, EventTypes(domain.EVENTS), watermark)
    executor = Executor(log)
    facts = handlers.Facts(log)

    kafka = settings.kafka_options()
    personal = PersonalData(settings, log, watermark, projections.ALL)
    runner = Runner(pool, log, watermark, projections.ALL)
    sealer = Sealer(pool, watermark, seconds=settings.seal_seconds)
    # Acts are gathered here: those of our own callers are in our log already.
    topics = (*publish.TOPICS, publish.COMMANDS, ACTS, orders.ANSWERS)
    relay = Relay(log, watermark, kafka, settings.name, publish.publish, publishes=topics, acts=False)
    # Offsets commit with the events that the messages led to; records of one key come in order.
    handle = handlers.handle_messages(executor, facts)
    consumer = Consumer(pool, kafka, settings.name, handlers.TOPICS, handle, sealing=personal.letters)

    emails = personal.tokens("email")
    collector = Collector(log, watermark, personal.keys, personal.copies, settings)

    finder = Finder(log, watermark, personal, emails)
    commands, reads = Commands(settings.name, executor), Queries(settings.name, engine, pool)
    overdue = Overdue(reads, settings.erasing, settings.silent_seconds)
    routes = api.routes(commands, reads, facts, personal, emails, settings)
    return Service(
        settings,
        create_api(settings, routes, title="Annals compliance", version="0.1.0", log=log),
        pool=pool,
        queries=engine,
        migrations=find_migrations("compliance"),
        personal=personal,
        workers=[watermark, runner, sealer, relay, consumer, collector, overdue, finder, Anchorer(executor, settings)],
        checks=[kafka_check(settings, topics=[*handlers.TOPICS, publish.TOPIC]), overdue.check()],
        lags={projection.schema: Freshness(pool, projection).lag for projection in projections.ALL},
    )
