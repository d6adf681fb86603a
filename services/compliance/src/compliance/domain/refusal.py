"""Why a command can't be. From a person it is an error to answer; from the chain, a contradiction to put aside."""

from __future__ import annotations

from typing import ClassVar


class Refusal(Exception):
    """The base. `code` is for machines and never changes; `title` is the same sentence for every occurrence."""

    code: ClassVar[str]
    title: ClassVar[str]


class NotOnRecord(Refusal):
    """There is no such version or request."""

    code = "not-found"
    title = "There is nothing by this name."


class Contradiction(Refusal):
    """The same thing came again with other contents."""

    code = "conflict"
    title = "This contradicts what is on record."


class WrongText(Refusal):
    """The hash is not that of the published version: another text was shown or accepted."""

    code = "wrong-text"
    title = "The hash is not that of the published text."


class WrongState(Refusal):
    """A deletion request is not in a state that allows the step."""

    code = "wrong-state"
    title = "The request is not in a state that allows this."


class NotProven(Refusal):
    """A signature does not prove that the wallet is the subject's."""

    code = "not-proven"
    title = "The signature does not prove the wallet."


class TooLate(Refusal):
    """What is asked was possible only until a time that has passed."""

    code = "too-late"
    title = "The deadline has passed."


class HeldByLaw(Refusal):
    """A legal hold is placed on the subject, or on a wallet of it."""

    code = "legal-hold"
    title = "A legal hold forbids the erasure."


class WrongKey(Refusal):
    """An archive does not open with the key: it is sealed to another."""

    code = "wrong-key"
    title = "The archive is sealed to another key."
