"""How a person is reached, to be told what becomes of a request: the only thing here that says who somebody is."""

from __future__ import annotations

from dataclasses import dataclass

from eventlog import Decider
from privacy import Sealed


@dataclass(frozen=True, slots=True)
class ContactGiven:
    """The subject's name, address for e-mail and country, sealed as JSON; they replace what was given before."""

    subject: str
    details: Sealed


contact: Decider[ContactGiven, ContactGiven | None, ContactGiven] = Decider(
    None, lambda given, _: [given], lambda _, given: given
)
