"""What becomes of each record that a subscription reads: delivered, or left out and counted."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Generic, TypeVar
from uuid import UUID

from aiokafka import ConsumerRecord

from contracts import Message, message_class
from messaging import Malformed, Received, cloudevents

logger = logging.getLogger("annals")

M_co = TypeVar("M_co", bound=Message, covariant=True)
REMEMBERED_IDS = 100_000


class GapFound(Exception):
    """A key lacks versions: messages were lost, or the topic does not publish every event of a stream."""


@dataclass(frozen=True, slots=True)
class Delivery(Generic[M_co]):
    """A message as it arrived. `source` and `id` together identify it for ever, however often it is delivered."""

    message: M_co
    id: str
    source: str
    key: str
    """The stream it happened in; messages of one key come in order."""
    time: datetime | None
    """When it happened."""
    topic: str
    partition: int
    offset: int
    log: UUID | None
    """The publisher's log; another one after that was replaced."""
    position: int | None
    """Where the event stands in the publisher's log."""
    version: int | None
    """The event's number in its stream, from 1."""
    traceparent: str | None
    _acknowledge: Callable[[], None] = field(repr=False, compare=False)

    @property
    def next_offset(self) -> int:
        """What to store with the effects of this message, to go on behind it."""
        return self.offset + 1

    def ack(self) -> None:
        """Says that the message is handled: it is not delivered to the group again.

        Kafka hears of it within a second, so a crash in between delivers it once more. Raises TypeError in a
        subscription without a group, whose offsets are stored by the caller.
        """
        self._acknowledge()


@dataclass(slots=True)
class Skipped:
    """How many records were left out, by why."""

    unknown: int = 0
    """Of a type that this release of `contracts` does not know."""
    unwanted: int = 0
    """Of a type that was not asked for."""
    repeated: int = 0
    """Delivered before."""
    malformed: int = 0
    """No valid messages."""


@dataclass(slots=True)
class Partition:
    """How far one partition is read and acknowledged."""

    next_offset: int
    committed: int
    unacknowledged: dict[int, None] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    """The last version of each key, where gaps are looked for."""

    def acknowledged(self) -> int:
        """Everything before this offset is handled."""
        return next(iter(self.unacknowledged), self.next_offset)


class Sieve:
    """Decides about each record, in the order of its partition."""

    def __init__(
        self, types: Collection[type[Message]], *, complete: bool, skip_malformed: bool, acknowledges: bool
    ) -> None:
        self._types = frozenset(types)
        self._complete = complete
        self._skip_malformed = skip_malformed
        self._acknowledges = acknowledges
        self._handled: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._said: set[str] = set()
        self.skipped = Skipped()

    def take(self, partition: Partition, record: ConsumerRecord[bytes, bytes]) -> Delivery[Any] | None:
        """The delivery of a record, None when it is left out. Raises Malformed and GapFound."""
        delivery = None
        try:
            received = cloudevents.decode(record, self._class)
        except Malformed as error:
            if not self._skip_malformed:
                raise
            self.skipped.malformed += 1
            logger.warning("left out: %s", error)
        else:
            if self._is_due(partition, received):
                delivery = self._delivery(partition, received)
        partition.next_offset = record.offset + 1
        return delivery

    def _class(self, ce_type: str) -> type[Message]:
        """Of messages that nobody asked for only the attributes are read."""
        if (found := message_class(ce_type)) in self._types and found is not None:
            return found
        if found is None:
            self.skipped.unknown += 1
            if ce_type not in self._said:
                self._said.add(ce_type)
                logger.warning("messages of type %s are left out: this release of annals-contracts lacks it", ce_type)
        else:
            self.skipped.unwanted += 1
        return _Other

    def _is_due(self, partition: Partition, received: Received) -> bool:
        repeated = (received.source, received.id) in self._handled
        if self._complete:
            repeated |= self._follows(partition, received) is False
        if isinstance(received.message, _Other):
            return False
        self.skipped.repeated += repeated
        return not repeated

    def _follows(self, partition: Partition, received: Received) -> bool:
        """Whether it is the next version of its key, or the first we see; False for an earlier one."""
        where = f"{received.topic}[{received.partition}]@{received.offset}: key {received.key}"
        if received.version is None:
            raise GapFound(f"{where}: expected a version, found none: gaps cannot be seen in this topic")
        last = partition.versions.get(received.key)
        if last is not None and received.version > last + 1:
            raise GapFound(f"{where}: expected version {last + 1}, found {received.version}")
        if last is not None and received.version <= last:
            return False
        partition.versions[received.key] = received.version
        return True

    def _delivery(self, partition: Partition, received: Received) -> Delivery[Any]:
        identity = (received.source, received.id)

        def acknowledge() -> None:
            if not self._acknowledges:
                raise TypeError("ack() needs a subscription with a group; without one store next_offset yourself")
            partition.unacknowledged.pop(received.offset, None)
            self._remember(identity)

        if self._acknowledges:
            partition.unacknowledged[received.offset] = None
        else:
            self._remember(identity)
        return Delivery(
            message=received.message,
            id=received.id,
            source=received.source,
            key=received.key,
            time=received.time,
            topic=received.topic,
            partition=received.partition,
            offset=received.offset,
            log=received.log,
            position=received.position,
            version=received.version,
            traceparent=received.traceparent,
            _acknowledge=acknowledge,
        )

    def _remember(self, identity: tuple[str, str]) -> None:
        self._handled[identity] = None
        if len(self._handled) > REMEMBERED_IDS:
            self._handled.popitem(last=False)


class _Other(Message):
    """Stands for a message of a type that nobody asked for."""

    type: ClassVar[str] = "another type"
