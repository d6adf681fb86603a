"""For tests: sentences such as ``given(decider, Credited(50)).when(Debit(20)).then(Debited(20))``; example events."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from eventlog.decider import Decider
from eventlog.log import NewEvent
from eventlog.types import EventTypes


@dataclass(frozen=True)
class Given:
    decider: Decider[Any, Any, Any]
    history: Sequence[object]

    def when(self, command: object) -> When:
        return When(self, command)


@dataclass(frozen=True)
class When:
    given: Given
    command: object

    def then(self, *expected: object) -> None:
        decider = self.given.decider
        assert list(decider.decide(self.command, decider.fold(self.given.history))) == list(expected)

    def then_nothing(self) -> None:
        self.then()

    def then_refused(self, error: type[Exception], saying: str = "") -> None:
        decider = self.given.decider
        with pytest.raises(error, match=re.escape(saying) if saying else None):
            decider.decide(self.command, decider.fold(self.given.history))


def given(decider: Decider[Any, Any, Any], *history: object) -> Given:
    return Given(decider, history)


NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Credited:
    """Example event: money came in."""

    amount: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class Debited:
    """Example event: money went out."""

    amount: int


EXAMPLE_TYPES = EventTypes(
    {"Credited.v2": Credited, "Debited.v1": Debited}, {"Credited.v1": lambda old: {**old, "note": "old"}}
)


def credited(stream: str, amount: int = 1) -> NewEvent:
    """An example event for `stream`."""
    return NewEvent(stream, Credited(amount), NOW)
