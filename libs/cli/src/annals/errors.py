"""Errors of the command itself; the message of each is the sentence that a reader gets."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Self


class UnknownName(Exception):
    """A name that is not there, or cannot be one; the message says which there are, or what is expected."""

    @classmethod
    def among(cls, what: str, name: str, known: Iterable[str]) -> Self:
        """`what` says what has no such name: "no service"; near matches are offered."""
        names = list(known)
        near = difflib.get_close_matches(name, names, n=2, cutoff=0.5)
        hint = f" (did you mean {' or '.join(near)}?)" if near else ""
        return cls(f"{what} {name!r}{hint}; there are: {', '.join(names) or 'none'}")


class NothingRuns(Exception):
    """There is no stack to talk to and the environment points nowhere."""

    def __init__(self, stack: str | None = None) -> None:
        what = f"No local stack {stack!r}" if stack else "No local stack"
        super().__init__(f"{what} is running. `annals up` starts one, `annals demo --keep` leaves one.")
