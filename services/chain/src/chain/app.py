"""All wiring of the chain service, top to bottom."""

from __future__ import annotations

from functools import partial

from chain import api, domain, metrics, projections, publish
from chain.confirm import fetcher
from chain.fetch import Heights, nodes_check
from chain.funds import Funds
from chain.handover import Handover
from chain.head import HeadFollower, HeadLog, read_back
from chain.ingest import Ingester
from chain.keyring import keyring
from chain.past.backfill import Backfill
from chain.past.redecode import Redecoder
from chain.payloads import Payloads
from chain.sender import OperationSender
from chain.settings import ChainSettings
from chain.signing import Limits
from chain.submissions import COMMANDS, Submissions
from eventlog import EventLog, EventTypes, Executor, Sealer, Watermark
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
from service.workers import Worker
from tron.providers import AnyNode, Nodes


def create(settings: ChainSettings) -> Service:
    """The service, ready to run: nothing is connected or started yet."""
    pool = connect_pool(settings)
    engine = connect_queries(settings)
    watermark = Watermark(pool)
    log = EventLog(pool, EventTypes(domain.EVENTS), watermark)

    nodes = Nodes(settings.providers, observe=metrics.answered)
    metrics.watch(nodes)
    heights = Heights(nodes)
    signers = keyring(settings)
    accounts = {name: signer.address for name, signer in signers.items()}
    handover = Handover()  # of blocks that both read after an outage, from the ingester to the head
    # The cursor is a stream of the log: it moves in the transaction that appends what was read.
    ingester = Ingester(
        log,
        fetcher(settings, nodes, log),
        settings.watched,
        accounts=accounts.values(),
        transactions=settings.transactions,
        start_block=settings.start_block,
        batch_events=settings.batch_events,
        poll_seconds=settings.poll_seconds,
        handover=handover,
    )
    # What is asked for too late: the past of contracts that were added, raw logs of which an ABI came later.
    backfill = Backfill(
        log,
        watermark,
        fetcher(settings, nodes, log, past=True),
        batch_events=settings.batch_events,
        poll_seconds=settings.poll_seconds,
    )
    redecoder = Redecoder(log, watermark, poll_seconds=settings.poll_seconds)
    personal = PersonalData(settings, log, watermark, projections.ALL)
    runner = Runner(pool, log, watermark, projections.ALL)
    kafka = settings.kafka_options()
    sealer = Sealer(pool, watermark, seconds=settings.seal_seconds)
    relay = Relay(
        log,
        watermark,
        kafka,
        settings.name,
        publish.publish,
        publishes=(*publish.TOPICS, COMMANDS, *orders.TOPICS),
        as_stored=publish.AS_STORED,
    )

    # The newest blocks, provisionally: a log of their own, since this one can take nothing back.
    head_log = HeadLog(log)
    head = HeadFollower(head_log, log, nodes, kafka, settings.watched, settings.poll_seconds, handover)
    topic = publish.HEAD
    head_relay = Relay(
        head_log,
        head_log,
        kafka,
        topic.name,
        publish.publish_head,
        publishes=[topic],
        copy=False,
        acts=False,
        seals=False,
        catch_up=partial(read_back, head_log, kafka, topic.name),
    )

    # What is sent is journalled in the log and settled by what the ingester reads; without keys nothing is sent, and
    # commands wait in their topic.
    node, payloads, executor = AnyNode(nodes), Payloads(settings.watched), Executor(log)
    submissions = Submissions(signers, payloads)
    sender = OperationSender(
        log,
        executor,
        watermark,
        node,
        payloads,
        signers,
        Limits(settings.expiry_seconds, settings.fee_limit_sun, settings.attempts, settings.in_flight),
        settings.poll_seconds,
    )
    funds = Funds(node, accounts, settings.low_balance_sun)
    heard = [orders.ORDERS.name, *([COMMANDS.name] if signers else [])]
    handle = inbox(submissions.commanded, executor)
    consumer = Consumer(pool, kafka, settings.name, heard, handle, sealing=personal.letters)
    sending: list[Worker] = [sender, funds] if signers else []

    commands, reads = Commands(settings.name, executor), Queries(settings.name, engine, pool)
    routes = api.routes(commands, submissions, log, watermark, reads, heights)
    return Service(
        settings,
        create_api(settings, routes, title="Annals chain", version="0.1.0", log=log),
        pool=pool,
        queries=engine,
        migrations=find_migrations("chain"),
        personal=personal,
        workers=[watermark, ingester, backfill, redecoder, runner, sealer, relay, head, head_relay, consumer, *sending],
        checks=[
            kafka_check(
                settings, topics=[topic.name for topic in (*publish.TOPICS, *publish.BESIDE_THE_LOG, COMMANDS)]
            ),
            nodes_check(nodes, heights),
            ingester.check(),
            head.check(),
            *([sender.check(), funds.check()] if signers else []),
        ],
        lags={projection.schema: Freshness(pool, projection).lag for projection in projections.ALL},
        resources=[nodes],
    )
