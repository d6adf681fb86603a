"""The tests' servers from Docker images, by testcontainers: the official PostgreSQL and Kafka."""

import os
import secrets
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from local_stack import postgres as native
from local_stack.postgres import PostgresServer
from local_stack.process import LocalStackError

POSTGRES_IMAGE = "postgres:16"
KAFKA_IMAGE = "apache/kafka:4.1.0"
VARIABLE = "ANNALS_TEST_STACK"
LOOPBACK = "127.0.0.1"
NAME = os.environ.get("ANNALS_TEST_CONTAINERS") or f"annals-test-{secrets.token_hex(3)}"
"""What every container of this run is called after, so that those which outlive it can be found."""


def chosen() -> bool:
    """Whether the tests take containers: ANNALS_TEST_STACK = native (default) | docker. Raises LocalStackError."""
    choice = os.environ.get(VARIABLE, "native")
    if choice not in ("native", "docker"):
        raise LocalStackError(f"{VARIABLE}: expected native or docker, found {choice!r}")
    return choice == "docker"


@contextmanager
def postgres() -> Iterator[PostgresServer]:
    """Runs a PostgreSQL container with the settings of the native server."""
    from testcontainers.core.wait_strategies import ExecWaitStrategy

    container = _container("postgres", POSTGRES_IMAGE, 5432).with_env("POSTGRES_PASSWORD", "annals")
    container.with_env("POSTGRES_INITDB_ARGS", "--encoding=UTF8 --locale=C --lc-ctype=C.UTF-8")
    container.with_command(["postgres", *native.options(durable=False)]).with_kwargs(shm_size="256m")
    with container:
        # While the image initialises its data, a server listens on a socket only; the one that stays, on TCP.
        ExecWaitStrategy(["pg_isready", "--quiet", "--host=127.0.0.1"]).wait_until_ready(container)
        yield PostgresServer(LOOPBACK, container.get_exposed_port(5432), "postgres", "annals")


@contextmanager
def kafka() -> Iterator[str]:
    """Runs a Kafka container; gives its address."""
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
    container = _container("kafka", KAFKA_IMAGE, 9092)
    for key, value in settings.items():
        container.with_env(f"KAFKA_{key}", value)
    # The address to advertise is known only once Docker has mapped the port: the server waits for its script.
    script = "/tmp/annals-start.sh"  # noqa: S108 - inside the container
    container.with_command(f'sh -c "while [ ! -f {script} ]; do sleep 0.1; done; exec bash {script}"')
    with container:
        address = f"{LOOPBACK}:{container.get_exposed_port(9092)}"
        start = f"export KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://{address},BROKER://localhost:9093\n"
        start += "exec /etc/kafka/docker/run\n"
        write = f"printf %s {shlex.quote(start)} > {script}.new && mv {script}.new {script}"
        code, output = container.exec(["sh", "-c", write])
        if code != 0:
            raise LocalStackError(f"could not write into the Kafka container: {output!r}")
        LogMessageWaitStrategy("Kafka Server started").wait_until_ready(container)
        yield address


def _container(what: str, image: str, port: int) -> Any:
    """A container whose `port` is on this machine's loopback, as a native server's is.

    Tests put a proxy there, and Kafka tells clients the one address at which they find it.
    """
    from testcontainers.core.config import ConnectionMode, testcontainers_config
    from testcontainers.core.container import DockerContainer

    testcontainers_config.ryuk_disabled = True  # it asks for one more image, and for the daemon's socket inside it
    testcontainers_config.tc_host_override = LOOPBACK
    testcontainers_config.connection_mode_override = ConnectionMode.docker_host
    container: Any = DockerContainer(image).with_name(f"{NAME}-{what}-{secrets.token_hex(3)}")
    container.ports[port] = (LOOPBACK,)
    return container
