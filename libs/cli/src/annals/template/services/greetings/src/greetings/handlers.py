"""The border: what others say becomes commands of our own, each with the stream it concerns."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from contracts import compliance
from eventlog import Intent, Metadata
from greetings import domain
from messaging import Received, orders

TOPICS = ("compliance.events", orders.ORDERS.name)


def translate(received: Received) -> Sequence[Intent]:
    """What a message means to us; nothing, for those that don't concern us."""
    match received.message:
        case compliance.WalletLinked() as linked:
            return [welcome(domain.Welcome(linked.subject), linked.linked_at)]
        case _:
            return orders.ordered(received)


def welcome(command: domain.Welcome, at: datetime, metadata: Metadata = Metadata()) -> Intent:
    """A welcome, for the stream of its subject."""
    return Intent(f"welcome/{command.subject}", domain.welcome, command, at, metadata)
