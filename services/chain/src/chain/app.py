"""All wiring of the chain service, top to bottom."""

from __future__ import annotations

from chain import api, domain, metrics, projections, publish
from chain.fetch import Fetcher, Heights, nodes_check
from chain.ingest import Ingester
from chain.settings import ChainSettings
from eventlog import EventLog, EventTypes, Sealer, Watermark
from messaging import Relay
from projections import Freshness, Runner
from service import Queries, Service, connect_pool, connect_queries, create_api, find_migrations, kafka_check
from tron.providers import Nodes


def create(settings: ChainSettings) -> Service:
    """The service, ready to run: nothing is connected or started yet."""
    pool = connect_pool(settings)
    engine = connect_queries(settings)
    watermark = Watermark(pool)
    log = EventLog(pool, EventTypes(domain.EVENTS), watermark)

    nodes = Nodes(settings.providers, prove=settings.prove_blocks, observe=metrics.answered)
    metrics.watch(nodes)
    heights = Heights(nodes)
    # The cursor is a stream of the log: it moves in the transaction that appends what was read.
    ingester = Ingester(
        log,
        Fetcher(nodes, settings.index),
        settings.watched,
        transactions=settings.transactions,
        start_block=settings.start_block,
        batch_events=settings.batch_events,
        poll_seconds=settings.poll_seconds,
    )
    runner = Runner(pool, log, watermark, projections.ALL)
    kafka = settings.kafka_options()
    sealer = Sealer(pool, watermark, seconds=settings.seal_seconds)
    relay = Relay(log, watermark, kafka, settings.name, publish.publish, publishes=publish.TOPICS)

    routes = api.routes(Queries(settings.name, engine, pool), heights)
    return Service(
        settings,
        create_api(settings, routes, title="Annals chain", version="0.1.0"),
        pool=pool,
        queries=engine,
        migrations=find_migrations("chain"),
        workers=[watermark, ingester, runner, sealer, relay],
        checks=[kafka_check(settings, topics=[topic.name for topic in publish.TOPICS]), nodes_check(nodes, heights)],
        lags={projection.schema: Freshness(pool, projection).lag for projection in projections.ALL},
        resources=[nodes],
    )
