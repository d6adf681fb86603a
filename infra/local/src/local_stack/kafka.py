"""A real Apache Kafka: one broker in KRaft mode, made to start in under a second.

What a stock start spends its time on is done once per checkout and kept in `.local/kafka`: the jars, the
metadata that `kafka-storage format` writes, and an archive of loaded classes from one training run.
"""

import asyncio
import base64
import hashlib
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

from local_stack.java import find_java, find_maven
from local_stack.paths import FileLock, local, pom
from local_stack.process import ServerProcess, bring_up, free_port, remove_tree, run_program

_SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "listener.security.protocol.map": "BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "inter.broker.listener.name": "BROKER",
    "controller.listener.names": "CONTROLLER",
    "auto.create.topics.enable": "false",
    "num.partitions": "4",
    "log.retention.ms": "-1",
    "log.retention.bytes": "-1",
    "offsets.retention.minutes": "525600",
    # one broker holds everything; fewer internal partitions make the first group and transaction quicker
    "default.replication.factor": "1",
    "min.insync.replicas": "1",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    # small machine: few threads, small buffers, short waits at the start
    "num.network.threads": "2",
    "num.io.threads": "4",
    "num.recovery.threads.per.data.dir": "2",
    "background.threads": "2",
    "log.cleaner.threads": "1",
    "log.cleaner.dedupe.buffer.size": "16777216",
    "log.index.size.max.bytes": "2097152",
    "broker.heartbeat.interval.ms": "250",
    "broker.session.timeout.ms": "4000",  # how long a killed broker's next start waits for its own ghost
    "controller.quorum.append.linger.ms": "2",
}
_HEAP = "-Xmx512m"
_JVM = (
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",  # in a run of minutes the optimising compiler takes more than it gives
    "-XX:-UsePerfData",
    "-Xshare:auto",
    "-Xlog:disable",
    "-Xlog:all=error:stderr",
    "-Djava.awt.headless=true",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
)


Say = Callable[[str], None]


def _silently(_text: str) -> None:
    pass


@dataclass(frozen=True, slots=True)
class KafkaRuntime:
    """Everything a server is started from."""

    java: Path
    class_path: str
    bootstrap_metadata: Path
    class_archive: Path

    @property
    def recorded(self) -> bool:
        return self.bootstrap_metadata.is_file() and self.class_archive.is_file()


async def fetch(say: Say = _silently) -> Path:
    """Fetches the jars that `infra/kafka/pom.xml` names, unless they are here; returns their folder."""
    home = local() / "kafka" / hashlib.sha256(pom().read_bytes()).hexdigest()[:12]
    jars = home / "lib"
    if jars.is_dir():
        return jars
    home.mkdir(parents=True, exist_ok=True)
    async with FileLock(home / "lock"):
        if not jars.is_dir():
            say("fetching its jars by Maven")
            incoming = home / "lib.incoming"
            shutil.rmtree(incoming, ignore_errors=True)
            maven = await asyncio.to_thread(find_maven)
            java_home = find_java().resolve().parent.parent
            await run_program(
                [
                    *(maven, "--batch-mode", "--quiet", "-f", pom(), "dependency:copy-dependencies"),
                    *("-DincludeScope=runtime", f"-DoutputDirectory={incoming}"),
                ],
                timeout_seconds=900,
                env={"JAVA_HOME": str(java_home)},
            )
            incoming.rename(jars)
    return jars


async def prepare(say: Say = _silently) -> KafkaRuntime:
    """Returns what a start needs, fetching and recording what is missing (some seconds, once per checkout)."""
    jars = await fetch(say)
    java = await asyncio.to_thread(find_java)
    stamp = java.resolve().stat()
    edition = hashlib.sha256(f"{java.resolve()} {stamp.st_mtime_ns} {stamp.st_size}".encode()).hexdigest()[:8]
    runtime = KafkaRuntime(
        java=java,
        class_path=":".join(str(jar) for jar in sorted(jars.glob("*.jar"))),
        bootstrap_metadata=jars.parent / "bootstrap.checkpoint",
        class_archive=jars.parent / f"classes-{edition}.jsa",
    )
    if not runtime.recorded:
        async with FileLock(jars.parent / "lock"):
            if not runtime.recorded:
                say("preparing its quick start, once per checkout")
                await _record(runtime)
    return runtime


async def start(
    folder: Path,
    *,
    durable: bool = True,
    hold: Iterable[int] = (),
    say: Say = _silently,
    port: int | None = None,
    advertised: int | None = None,
) -> tuple[ServerProcess, str]:
    """Starts a broker with its data below `folder` and waits until it answers; returns it and its address.

    `say` is told what takes long the first time. Without `port` it gets a free one. Clients are told to connect to the
    port `advertised`, if a proxy listens there.
    `durable=False` is for short runs: the broker is killed instead of shut down.
    """
    runtime = await prepare(say)
    jvm = (_HEAP, f"-XX:SharedArchiveFile={runtime.class_archive}")
    grace_seconds = 20 if durable else 0
    return await _start(runtime, folder, jvm, grace_seconds=grace_seconds, hold=hold, port=port, advertised=advertised)


async def _start(
    runtime: KafkaRuntime,
    folder: Path,
    jvm: Iterable[str],
    *,
    grace_seconds: float,
    hold: Iterable[int] = (),
    port: int | None = None,
    advertised: int | None = None,
) -> tuple[ServerProcess, str]:
    data = folder / "kafka"
    cluster = _format(runtime, data)

    def launch(port: int) -> ServerProcess:
        properties = _configure(folder, data, f"127.0.0.1:{port}", f"127.0.0.1:{advertised or port}")
        return ServerProcess(
            "Kafka",
            [runtime.java, *jvm, *_JVM, "-cp", runtime.class_path, "kafka.Kafka", properties],
            log=folder / "kafka.log",
            grace_seconds=grace_seconds,
            hold=hold,
        )

    async def check(_process: ServerProcess, port: int) -> str:
        await _answers(f"127.0.0.1:{port}", cluster)
        return f"127.0.0.1:{port}"

    return await bring_up(launch, check, retry_on=(OSError, TimeoutError, KafkaError), port=port)


def _configure(folder: Path, data: Path, broker: str, advertised: str) -> Path:
    """Writes the server's configuration, with a free port for its controller; returns the file."""
    controller = f"127.0.0.1:{free_port()}"
    properties = folder / "kafka.properties"
    settings = _SETTINGS | {
        "log.dirs": str(data),
        "listeners": f"BROKER://{broker},CONTROLLER://{controller}",
        "advertised.listeners": f"BROKER://{advertised}",
        "controller.quorum.voters": f"1@{controller}",
    }
    properties.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
    return properties


def _format(runtime: KafkaRuntime, data: Path) -> str:
    """Does what `kafka-storage format` does, without a JVM; returns the id of the cluster. Keeps existing data."""
    meta = data / "meta.properties"
    if not meta.is_file():
        data.mkdir(parents=True, exist_ok=True)
        shutil.copy(runtime.bootstrap_metadata, data / "bootstrap.checkpoint")
        ids = f"cluster.id={_kafka_uuid()}\ndirectory.id={_kafka_uuid()}\n"
        meta.write_text(f"version=1\nnode.id=1\n{ids}")
    values = dict(line.split("=", 1) for line in meta.read_text().splitlines() if "=" in line)
    return values["cluster.id"]


def _kafka_uuid() -> str:
    """Returns a random id in Kafka's notation (base64, never with a leading dash)."""
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
        if not text.startswith("-"):
            return text


async def _answers(broker: str, cluster: str) -> None:
    """Returns once this very cluster names a live broker; raises OSError or KafkaError until then."""
    host, port = broker.split(":")
    _, writer = await asyncio.open_connection(host, int(port))  # the client would log each refused attempt
    writer.close()
    await writer.wait_closed()
    admin = AIOKafkaAdminClient(bootstrap_servers=broker, request_timeout_ms=5_000)
    try:
        await admin.start()
        description = await admin.describe_cluster()
    finally:
        await admin.close()
    if description["cluster_id"] != cluster:
        raise OSError(f"{broker} belongs to cluster {description['cluster_id']}, not to {cluster}")
    if not description["brokers"]:
        raise OSError(f"{broker} has no live broker yet")


async def _record(runtime: KafkaRuntime) -> None:
    """Formats once and runs once, keeping the metadata and the archive of the classes that were loaded."""
    home = runtime.bootstrap_metadata.parent
    folder = Path(tempfile.mkdtemp(prefix="training-", dir=home))
    try:
        properties = _configure(folder, folder / "kafka", unused := "127.0.0.1:9092", unused)
        tool = (runtime.java, "-cp", runtime.class_path, "kafka.tools.StorageTool")
        await run_program([*tool, "format", "-t", _kafka_uuid(), "-c", properties], timeout_seconds=120)
        shutil.copy(folder / "kafka" / "bootstrap.checkpoint", folder / "bootstrap.checkpoint")
        loaded = folder / "classes.list"
        process, broker = await _start(runtime, folder, (_HEAP, f"-XX:DumpLoadedClassList={loaded}"), grace_seconds=60)
        try:
            await _exercise(broker)
        finally:
            await process.stop()
        # A whole archive, not one on top of the JVM's own: the runtime in the wheel comes without.
        archive = folder / "classes.jsa"
        dump = ("-Xshare:dump", f"-XX:SharedClassListFile={loaded}", f"-XX:SharedArchiveFile={archive}")
        await run_program(
            [runtime.java, *dump, _HEAP, "-XX:+UseSerialGC", "-Xlog:disable", "-cp", runtime.class_path],
            timeout_seconds=120,
        )
        (folder / "bootstrap.checkpoint").replace(runtime.bootstrap_metadata)
        archive.replace(runtime.class_archive)
    finally:
        remove_tree(folder)


async def _exercise(broker: str) -> None:
    """Uses what the services use, so that those classes are in the archive: topics, transactions, groups."""
    await create_topic(broker, "training", partitions=1)
    producer = AIOKafkaProducer(bootstrap_servers=broker, transactional_id="training")
    async with producer, producer.transaction():
        await producer.send_and_wait("training", b"value", key=b"key")
    options = {"group_id": "training", "auto_offset_reset": "earliest", "isolation_level": "read_committed"}
    async with AIOKafkaConsumer("training", bootstrap_servers=broker, **options) as consumer:
        await asyncio.wait_for(consumer.getone(), 30)
        await consumer.commit()


async def create_topic(
    broker: str, name: str, *, partitions: int = 4, compacted: bool = False, timeout_seconds: float = 120
) -> None:
    """Creates a topic and waits until each partition has a leader, so that the next send finds it.

    Raises aiokafka's TopicAlreadyExistsError, or TimeoutError.
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=broker, request_timeout_ms=10_000)
    await admin.start()
    try:
        policy = {"cleanup.policy": "compact"} if compacted else {}
        await admin.create_topics([NewTopic(name, partitions, 1, topic_configs=policy)])
        async with asyncio.timeout(timeout_seconds):
            while True:
                [topic] = await admin.describe_topics([name])
                found = topic["partitions"]
                if len(found) == partitions and all(one["leader"] >= 0 for one in found):
                    return
                await asyncio.sleep(0.01)
    finally:
        await admin.close()
