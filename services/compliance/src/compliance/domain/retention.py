"""How long entries of the trail are shown, by action. Only read models forget: the log keeps all."""

from __future__ import annotations

from dataclasses import dataclass

from eventlog import Decider


@dataclass(frozen=True, slots=True)
class RetentionSet:
    """Entries of this action are shown for so many days; for ever with None. Those on a legal hold stay."""

    action: str
    days: int | None


def decide(wanted: RetentionSet, current: RetentionSet | None) -> list[RetentionSet]:
    return [] if wanted == (current or RetentionSet(wanted.action, None)) else [wanted]


retention: Decider[RetentionSet, RetentionSet | None, RetentionSet] = Decider(None, decide, lambda _, wanted: wanted)
