"""What compliance tells of wallets, for services that show people what concerns theirs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from contracts import compliance
from eventlog import Intent
from messaging.received import Received
from messaging.topics import TopicSpec
from privacy.wallets import WalletFact, WalletGivenUp, WalletProven, owner_stream, wallet_owner

TOPIC = TopicSpec("compliance.events")


def told(received: Received) -> Sequence[Intent]:
    """What a message says of a wallet's owner; nothing, for all other messages."""
    match received.message:
        case compliance.WalletLinked() as linked:
            fact: WalletFact = WalletProven(linked.address, linked.subject)
        case compliance.WalletUnlinked() as unlinked:
            fact = WalletGivenUp(unlinked.address, unlinked.subject)
        case _:
            return []
    return [Intent(owner_stream(fact.address), wallet_owner, fact, received.time or datetime.now(UTC))]
