"""What a subject does not want done with its data, although no law forbids it: it says so, and may take that back."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from eventlog import Decider


class Use(StrEnum):
    """What can be opted out of."""

    SALE_OR_SHARING = "sale-or-sharing"  # CCPA 1798.120
    MARKETING = "marketing"  # GDPR Art. 21(2)
    PROFILING = "profiling"  # GDPR Art. 21(1), 22


@dataclass(frozen=True, slots=True)
class OptedOut:
    subject: str
    use: Use


@dataclass(frozen=True, slots=True)
class OptedIn:
    """The subject has taken its opting out back."""

    subject: str
    use: Use


Choice = OptedOut | OptedIn


def decide(choice: Choice, out_of: frozenset[Use]) -> list[Choice]:
    """At once and without a ground: nobody has to decide it."""
    known = (choice.use in out_of) is isinstance(choice, OptedOut)
    return [] if known else [choice]


def evolve(out_of: frozenset[Use], choice: Choice) -> frozenset[Use]:
    match choice:
        case OptedOut():
            return out_of | {choice.use}
        case OptedIn():
            return out_of - {choice.use}
        case never:
            assert_never(never)


opt_outs: Decider[Choice, frozenset[Use], Choice] = Decider(frozenset(), decide, evolve)
