"""The tests' servers from Docker images, by testcontainers, where a daemon and the images are at hand."""

import importlib.util
import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from local_stack.postgres import PostgresServer
from local_stack.process import LocalStackError

POSTGRES_IMAGE = "postgres:16"
KAFKA_IMAGE = "apache/kafka:4.1.0"


def chosen() -> bool:
    """Whether the tests shall use containers: ANNALS_TEST_SERVERS = native | containers | auto (default).

    `auto` takes them when a Docker daemon answers and already has the images, so that nothing is pulled.
    """
    choice = os.environ.get("ANNALS_TEST_SERVERS", "auto")
    if choice not in ("native", "containers", "auto"):
        raise LocalStackError(f"ANNALS_TEST_SERVERS: expected native, containers or auto, found {choice!r}")
    if choice == "containers":
        return True
    return choice == "auto" and _images_are_here()


def _images_are_here() -> bool:
    if importlib.util.find_spec("testcontainers") is None or shutil.which("docker") is None:
        return False
    ask = ["docker", "image", "inspect", "--format", "{{.Id}}", POSTGRES_IMAGE, KAFKA_IMAGE]
    try:
        return subprocess.run(ask, capture_output=True, timeout=5).returncode == 0
    except subprocess.TimeoutExpired:  # a daemon that does not answer is none
        return False


@contextmanager
def postgres() -> Iterator[PostgresServer]:
    """Runs a PostgreSQL container."""
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.wait_strategies import LogMessageWaitStrategy

    container = DockerContainer(POSTGRES_IMAGE).with_env("POSTGRES_PASSWORD", "annals").with_exposed_ports(5432)
    container.with_command("postgres -c fsync=off -c full_page_writes=off -c max_connections=200")
    with container:
        # the image starts the server twice: once to initialise it, on a socket only
        LogMessageWaitStrategy(r"(?s)init process complete.*ready to accept").wait_until_ready(container)
        yield PostgresServer(
            container.get_container_host_ip(), int(container.get_exposed_port(5432)), "postgres", "annals"
        )


@contextmanager
def kafka() -> Iterator[str]:
    """Runs a Kafka container; gives its address."""
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.wait_strategies import LogMessageWaitStrategy

    settings = {
        "NODE_ID": "1",
        "PROCESS_ROLES": "broker,controller",
        "LISTENERS": "PLAINTEXT://:9092,BROKER://:9093,CONTROLLER://:9094",
        "LISTENER_SECURITY_PROTOCOL_MAP": "PLAINTEXT:PLAINTEXT,BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "INTER_BROKER_LISTENER_NAME": "BROKER",
        "CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "CONTROLLER_QUORUM_VOTERS": "1@localhost:9094",
        "AUTO_CREATE_TOPICS_ENABLE": "false",
        "OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "TRANSACTION_STATE_LOG_MIN_ISR": "1",
        "GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        "LOG_RETENTION_MS": "-1",
    }
    container = DockerContainer(KAFKA_IMAGE).with_exposed_ports(9092)
    for key, value in settings.items():
        container.with_env(f"KAFKA_{key}", value)
    # The address to advertise is known only once Docker has mapped the port: the server waits for its script.
    script = "/tmp/annals-start.sh"  # noqa: S108 - inside the container
    container.with_command(f'sh -c "while [ ! -f {script} ]; do sleep 0.1; done; exec bash {script}"')
    with container:
        address = f"{container.get_container_host_ip()}:{container.get_exposed_port(9092)}"
        start = f"export KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://{address},BROKER://localhost:9093\n"
        start += "exec /etc/kafka/docker/run\n"
        write = f"printf %s {shlex.quote(start)} > {script}.new && mv {script}.new {script}"
        code, output = container.exec(["sh", "-c", write])
        if code != 0:
            raise LocalStackError(f"could not write into the Kafka container: {output!r}")
        LogMessageWaitStrategy("Kafka Server started").wait_until_ready(container)
        yield address
