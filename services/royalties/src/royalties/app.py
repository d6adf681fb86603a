"""All wiring of the royalties service, top to bottom."""

from __future__ import annotations

from eventlog import EventLog, EventTypes, Executor, Sealer, Watermark
from messaging import Consumer, Relay, orders, wallets
from messaging.chain_time import BLOCKS
from projections import Freshness, Runner
from royalties import api, domain, handlers, projections, publish
from royalties.distributing.holders import Holders
from royalties.distributing.paid import PaidOnChain
from royalties.distributing.process import DistributionProcess
from royalties.moving import MoveExpiry
from royalties.reconciliation.worker import Reconciler
from royalties.recorder import Recorder
from royalties.settings import RoyaltiesSettings
from royalties.statements.closing import Closing, MonthEnd
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


def create(settings: RoyaltiesSettings) -> Service:
    """The service, ready to run: nothing is connected or started yet."""
    pool = connect_pool(settings)
    engine = connect_queries(settings)
    watermark = Watermark(pool)
    log = EventLog(pool, EventTypes(domain.EVENTS), watermark)
    executor = Executor(log)
    recorder = Recorder(log, executor)

    kafka = settings.kafka_options()
    personal = PersonalData(settings, log, watermark, projections.ALL)
    runner = Runner(pool, log, watermark, projections.ALL)
    sealer = Sealer(pool, watermark, seconds=settings.seal_seconds)
    topics = (*publish.TOPICS, publish.COMMANDS, handlers.COMMANDS, *orders.TOPICS, wallets.TOPIC)
    relay = Relay(log, watermark, kafka, settings.name, publish.publish, publishes=topics, as_stored=publish.UNTOLD)
    # Offsets commit with the events that the messages led to; records of one key come in order.
    handle = handlers.handle_messages(executor, recorder)
    consumer = Consumer(
        pool, kafka, settings.name, handlers.TOPICS, handle, sealing=personal.letters, ignores=handlers.IGNORED
    )
    reconciler = Reconciler(log, settings)

    look_seconds = settings.distributions_look_seconds
    payments = None if settings.node_url is None else PaidOnChain(settings, settings.node_url)
    distributions = DistributionProcess(log, executor, watermark, Holders(kafka), look_seconds, payments=payments)

    moves = MoveExpiry(log, executor, watermark)

    commands, reads = Commands(settings.name, executor), Queries(settings.name, engine, pool)
    closing = Closing(settings.name, log, executor, watermark, commands, reads, settings.anchor_statements)
    calendar = [] if settings.close_after_days is None else [MonthEnd(closing, settings.close_after_days)]
    routes = api.routes(commands, recorder, reads, log, watermark, closing, settings)
    return Service(
        settings,
        create_api(settings, routes, title="Annals royalties", version="0.1.0", log=log),
        pool=pool,
        queries=engine,
        migrations=find_migrations("royalties"),
        personal=personal,
        workers=[watermark, runner, sealer, relay, consumer, reconciler, distributions, moves, *calendar],
        checks=[kafka_check(settings, topics=[*handlers.TOPICS, publish.TOPIC, publish.COMMANDS.name, BLOCKS])],
        lags={projection.schema: Freshness(pool, projection).lag for projection in projections.ALL},
    )
