"""All wiring of the rewards service, top to bottom."""

from __future__ import annotations

from functools import partial

from eventlog import EventLog, EventTypes, Executor, Sealer, Together, Watermark
from messaging import Consumer, Relay, orders, wallets
from privacy import MonthKeys
from projections import Freshness, Runner
from rewards import api, domain, handlers, metrics, projections, publish
from rewards.chain_time import BLOCKS, ChainTime
from rewards.paying import ClaimProcess
from rewards.periods import Periods
from rewards.recorder import Recorder
from rewards.reports import Origins
from rewards.settings import RewardsSettings
from rewards.verifier import verifier_of
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


def create(settings: RewardsSettings) -> Service:
    """The service, ready to run: nothing is connected or started yet."""
    pool = connect_pool(settings)
    engine = connect_queries(settings)
    watermark = Watermark(pool)
    log = EventLog(pool, EventTypes(domain.EVENTS), watermark)
    executor, recorder = Executor(log), Recorder(log)
    together = Together(executor)  # all who claim from a pool want its budget

    kafka = settings.kafka_options()
    personal = PersonalData(settings, log, watermark, projections.ALL)
    runner = Runner(pool, log, watermark, projections.ALL)
    sealer = Sealer(pool, watermark, seconds=settings.seal_seconds)
    topics = (*publish.TOPICS, publish.COMMANDS, handlers.COMMANDS, *orders.TOPICS, wallets.TOPIC)
    relay = Relay(log, watermark, kafka, settings.name, publish.publish, publishes=topics)
    # Offsets commit with the events that the messages led to; records of one key come in order.
    months = MonthKeys(personal.keys, "origins")
    origins = Origins(settings.origin_key.get_secret_value(), personal.keys, months)
    handle = handlers.handle_messages(executor, recorder, origins)
    consumer = Consumer(pool, kafka, settings.name, handlers.TOPICS, handle, sealing=personal.letters)

    verifier, chain_time = verifier_of(settings), ChainTime(pool, kafka, settings.name)
    claims = ClaimProcess(log, executor, together, watermark, verifier, chain_time, settings.claims_look_seconds)

    commands, reads = Commands(settings.name, executor, together), Queries(settings.name, engine, pool)
    periods = Periods(log, watermark, settings)
    routes = api.routes(settings.name, executor, watermark, commands, reads, recorder, origins, periods)
    return Service(
        settings,
        create_api(settings, routes, title="Annals rewards", version="0.1.0", log=log),
        pool=pool,
        queries=engine,
        migrations=find_migrations("rewards"),
        personal=personal,
        workers=[watermark, runner, sealer, relay, consumer, claims, months],
        checks=[kafka_check(settings, topics=[*handlers.TOPICS, publish.TOPIC, publish.COMMANDS.name, BLOCKS])],
        lags={projection.schema: Freshness(pool, projection).lag for projection in projections.ALL},
        measures=[partial(metrics.measure_pools, reads)],
    )
