"""The faults of a network: added, listed and cleared by its API; each exchange goes through those that strike."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from devnet.checks import Check, number, paths, text
from devnet.exchange import Answer, Ask, Question
from devnet.kinds import KINDS
from devnet.proto import Dict
from devnet.scope import Fault

_SCOPE: dict[str, Check] = {
    "face": text,
    "paths": paths,
    "probability": number(0, 1),
    "seed": number(0, 1 << 63, whole=True),
    "skip": number(0, 10**9, whole=True),
    "count": number(1, 10**9, whole=True),
    "seconds": number(0, 86_400),
}


class Faults:
    """The faults of one network, in the order in which they were added."""

    def __init__(self) -> None:
        self._faults: dict[int, Fault] = {}
        self._last = 0

    def __iter__(self) -> Iterator[Fault]:
        return iter(self._faults.values())

    def add(self, form: Dict) -> Fault:
        """Adds a fault: `kind`, the options of the kind, and the scope (fields of `Fault`).

        Raises:
            ValueError: a field is unknown or has no meaning; the message names it.
        """
        fault = parse(self._last + 1, form)
        self._last = fault.id
        self._faults[fault.id] = fault
        return fault

    def clear(self, identity: int | None = None, face: str | None = None) -> list[Fault]:
        """Ends and forgets one fault, or all of one face, or all; what they hold goes on. Returns them."""
        gone = [
            fault
            for fault in self._faults.values()
            if (identity is None or fault.id == identity) and (face is None or fault.face == face)
        ]
        for fault in gone:
            fault.over.set()
            del self._faults[fault.id]
        return gone

    async def exchange(self, question: Question, ask: Ask) -> Answer:
        """Returns the answer to a question after all faults that strike have had their way."""
        for fault in reversed([fault for fault in self._faults.values() if fault.strikes(question)]):
            ask = partial(KINDS[fault.kind].apply, fault, ask)
        return await ask(question)


def parse(identity: int, form: Dict) -> Fault:
    """Returns the fault that a form describes.

    Raises:
        ValueError: a field is unknown, missing or has no meaning; the message names it.
    """
    name = form.get("kind")
    kind = KINDS.get(name) if isinstance(name, str) else None
    if kind is None or not isinstance(name, str):
        raise ValueError(f"kind: expected one of {', '.join(KINDS)}, got {name!r}")
    given = {field: value for field, value in form.items() if field != "kind" and value is not None}
    known = {**_SCOPE, **kind.options}
    if unknown := sorted(given.keys() - known.keys()):
        raise ValueError(f"{unknown[0]}: a fault of kind {name} has only {', '.join(known)}")
    if missing := [field for field in kind.needs if field not in given]:
        raise ValueError(f"{missing[0]}: a fault of kind {name} needs it")
    checked = {field: known[field](field, value) for field, value in given.items()}
    options = {field: checked.pop(field) for field in kind.options if field in checked}
    return Fault(identity, name, options, **{"paths": kind.paths, **checked})


def describe_kinds() -> Dict:
    """Returns what each kind does, and its options: the text of the API and of the command."""
    return {
        name: {"does": " ".join((kind.apply.__doc__ or "").split()), "options": list(kind.options)}
        for name, kind in KINDS.items()
    }
