"""Which errors say nothing against a message."""

from __future__ import annotations

import asyncpg
import pytest
from aiokafka.client import AIOKafkaClient, CoordinationType
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    ProducerFenced,
    TopicAuthorizationFailedError,
)

import eventlog
from eventlog import WrongExpectedVersion
from messaging import MissingPrerequisite, Transient
from messaging.errors import is_transient
from messaging.reading import committed_reader


@pytest.mark.parametrize(
    "error",
    [
        Transient(),
        WrongExpectedVersion("s", 1, 2),
        KafkaConnectionError(),
        ConnectionResetError(),
        TimeoutError(),
        MemoryError(),
        asyncpg.InterfaceError("connection is closed"),
        asyncpg.InternalClientError("cannot switch to state 15"),
        asyncpg.exceptions.OutdatedSchemaCacheError("changed"),
        asyncpg.ConnectionDoesNotExistError("cut"),
        asyncpg.SerializationError("could not serialize"),
        asyncpg.DeadlockDetectedError("deadlock"),
        asyncpg.LockNotAvailableError("lock timeout"),
        asyncpg.QueryCanceledError("statement timeout"),
        asyncpg.IdleInTransactionSessionTimeoutError("too long"),
        asyncpg.TransactionTimeoutError("too long"),
        asyncpg.AdminShutdownError("terminated"),
        asyncpg.CannotConnectNowError("starting"),
        asyncpg.TooManyConnectionsError("too many"),
        asyncpg.DiskFullError("full"),
        asyncpg.OutOfMemoryError("memory"),
        asyncpg.exceptions.PostgresIOError("disk"),
        asyncpg.ReadOnlySQLTransactionError("a replica"),
        asyncpg.InvalidCachedStatementError("a migration"),
        ProducerFenced("another instance leads"),
        ExceptionGroup("two at once", [ConnectionResetError(), asyncpg.InterfaceError("connection is closed")]),
    ],
    ids=lambda error: type(error).__name__,
)
def test_the_world_is_to_blame(error: Exception) -> None:
    assert is_transient(error)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("amount is negative"),
        KeyError("amount"),
        MissingPrerequisite("waits, but for another message"),
        asyncpg.UniqueViolationError("doubled"),
        asyncpg.InterfaceError("the server expects 1 argument for this query, 2 were passed"),
        asyncpg.InterfaceError("cannot perform operation: another operation is in progress"),
        ExceptionGroup("two at once", [ConnectionResetError(), KeyError("amount")]),
        TopicAuthorizationFailedError("rewards.events"),
        asyncpg.DataError("invalid input for query argument $1"),
        asyncpg.NumericValueOutOfRangeError("too large"),
        asyncpg.exceptions.ProgramLimitExceededError("index row too large"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_the_message_is_to_blame(error: Exception) -> None:
    assert not is_transient(error)


async def test_a_cluster_that_names_no_broker_yet_is_only_away() -> None:
    client = AIOKafkaClient(bootstrap_servers="localhost:1")
    with pytest.raises(AssertionError) as of_aiokafka:
        await client.coordinator_lookup(CoordinationType.TRANSACTION, "rewards.relay")
    assert is_transient(of_aiokafka.value)
    assert not is_transient(AssertionError("a handler's own"))


@pytest.mark.parametrize(
    ("error", "passes"),
    [(None, True), (KafkaTimeoutError("offsets"), True), (TopicAuthorizationFailedError("rewards.events"), False)],
    ids=["no broker", "no answer", "no right"],
)
async def test_a_reader_says_of_what_passes_that_it_does(
    kafka: str, monkeypatch: pytest.MonkeyPatch, error: Exception | None, passes: bool
) -> None:
    """For those who do not know Kafka: a service ends over a worker's error that does not pass."""

    async def no_broker(*_: object) -> bool:
        return False

    async def read() -> None:
        async with committed_reader(kafka) as consumer:
            if error is not None:
                raise error
            monkeypatch.setattr(consumer._client, "_metadata_update", no_broker)
            await consumer._client.fetch_all_metadata()

    with pytest.raises(KafkaError) as raised:
        await read()
    assert eventlog.is_transient(raised.value) is passes
