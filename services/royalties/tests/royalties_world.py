"""The log in memory: intents are decided, and each event is stored and read again as the log would."""

from __future__ import annotations

from collections import Counter
from typing import Any

from eventlog import AnyIntent, Decider, EventTypes
from messaging import Received
from royalties import domain, handlers
from royalties.domain import MONEY_MOVED, Refused, Side

TYPES = EventTypes(domain.EVENTS)
Account = tuple[str, str]
"""Its name, and the asset."""


class World:
    def __init__(self) -> None:
        self.events: list[Any] = []
        self.by_stream: dict[str, list[Any]] = {}
        self.states: dict[str, Any] = {}
        self._deciders: dict[str, Decider[Any, Any, Any]] = {}
        self._balances: Counter[Account] = Counter()
        self._of_contracts: Counter[Account] = Counter()

    def receive(self, key: str, message: object) -> None:
        """Takes in a message of the chain."""
        for intent in handlers.translate(Received(message, "id", "/chain", "topic", 0, 0, key)):  # type: ignore[arg-type]
            self.do(intent)

    def do(self, intent: AnyIntent) -> list[Any]:
        """What comes of it; nothing, if it is refused."""
        known = {stream: self.states.get(stream, decider.initial) for stream, decider in intent.deciders.items()}
        try:
            decided = intent.decided(known)
        except Refused:
            return []
        return [self._happened(stream, event, intent.deciders[stream]) for stream, event in decided]

    def _happened(self, stream: str, event: object, decider: Decider[Any, Any, Any]) -> Any:
        again: Any = TYPES.decode(*TYPES.encode(event))
        assert again == event
        self.states[stream] = decider.evolve(self.states.get(stream, decider.initial), again)
        self._deciders[stream] = decider
        self.by_stream.setdefault(stream, []).append(again)
        self.events.append(again)
        for posting in again.postings if isinstance(again, MONEY_MOVED) else ():
            amount = posting.amount if posting.side is Side.DEBIT else -posting.amount
            self._balances[posting.account, posting.asset] += amount
            if hasattr(again, "source"):  # stands on the chain
                self._of_contracts[posting.account, posting.asset] += amount
        return again

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def balances(self, of_contracts: bool = False) -> Counter[Account]:
        """Debits less credits of every account; `of_contracts`: of what stands on the chain."""
        return self._of_contracts if of_contracts else self._balances

    def folded_again(self) -> dict[str, Any]:
        """The states that the events lead to."""
        return {stream: self._deciders[stream].fold(events) for stream, events in self.by_stream.items()}
