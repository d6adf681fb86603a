"""Errors of the command, and what becomes of any error: an exit code and one sentence for a reader.

Exit codes, the only place where they are defined:

0    good
1    something is wrong: a check failed, rows differ, a service is down, an action was refused
2    wrong usage: an unknown name, a bad option or setting, a file that cannot be opened
3    nothing is running, or a server does not answer, or not us
4    an error nobody foresaw; --debug shows where
130  Ctrl-C
"""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable
from enum import IntEnum
from typing import Self

import asyncpg
from pydantic import ValidationError
from pydantic_settings import SettingsError

from service.database import is_not_made, is_transient
from service.settings import WrongSetting
from tron.errors import NodeUnavailable


class Exit(IntEnum):
    """The exit codes, as the module's text says."""

    GOOD = 0
    WRONG = 1
    USAGE = 2
    UNREACHABLE = 3
    UNFORESEEN = 4


class UnknownName(Exception):
    """A name that is not there, or cannot be one; the message says which there are, or what is expected."""

    @classmethod
    def among(cls, what: str, name: str, known: Iterable[str]) -> Self:
        """`what` says what has no such name: "no service"; near matches are offered."""
        names = list(known)
        near = difflib.get_close_matches(name, names, n=2, cutoff=0.5)
        hint = f" (did you mean {' or '.join(near)}?)" if near else ""
        return cls(f"{what} {name!r}{hint}; there are: {', '.join(names) or 'none'}")


class NobodyToAsk(Exception):
    """What cannot be undone was asked for without `--yes`, where no terminal is."""


class Declined(Exception):
    """The answer was no."""


class NotNow(Exception):
    """What is done only outside production, or only while a service stands still."""


class NothingRuns(Exception):
    """There is no stack to talk to and the environment points nowhere."""

    def __init__(self, stack: str | None = None) -> None:
        what = f"no local stack {stack!r} is running"
        if stack is None:
            what = "no local stack is running, and no variable such as REWARDS_DATABASE_URL names other servers"
        super().__init__(f"{what}. `annals up` starts one, `annals demo --keep` leaves one.")


OURS = ("annals", "contracts", "eventlog", "local_stack", "messaging", "privacy", "projections", "service", "tron")
"""Packages whose exceptions are written for a reader: their message is the sentence to print."""

_REFUSED = ("28", "3D000", "42501")  # SQLSTATE: authorisation, no such database, no right to it
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


def exit_code(error: Exception) -> Exit | None:
    """The exit code of an error; None for those that the command-line library itself ends the process with."""
    package = type(error).__module__.partition(".")[0]
    if package in ("typer", "click") or isinstance(error, BrokenPipeError):
        return None
    match error:
        case (
            UnknownName() | NobodyToAsk() | ValidationError() | SettingsError() | WrongSetting() | UnicodeEncodeError()
        ):
            return Exit.USAGE  # pydantic's: a setting; the last: an argument that is no UTF-8
        case asyncpg.ClientConfigurationError():
            return Exit.USAGE
        case asyncpg.PostgresError() | asyncpg.InterfaceError() | asyncpg.InternalClientError():
            return _of_postgres(error)
        case OSError() if error.errno in _DISK_FULL:
            return Exit.WRONG
        case OSError() if error.filename is not None:
            return Exit.USAGE
        case NothingRuns() | NodeUnavailable() | OSError():  # TimeoutError is one
            return Exit.UNREACHABLE
        case _ if package in ("aiokafka", "httpx"):
            return Exit.UNREACHABLE
        case _:
            return Exit.WRONG if package in OURS or type(error) is LookupError else Exit.UNFORESEEN


def plain(error: Exception) -> str:
    """What an error says of itself."""
    if isinstance(error, ValidationError):
        return "; ".join(f"{error.title}.{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
    return str(error) or type(error).__name__


def sentence(error: Exception) -> str:
    """What is printed of an error."""
    text = "no answer in time" if isinstance(error, TimeoutError) and not str(error) else plain(error)
    match exit_code(error), error:
        case Exit.USAGE, UnicodeEncodeError():
            return f"{error.object!a}: expected UTF-8"
        case Exit.USAGE, OSError():
            return f"{error.filename}: {error.strerror}"
        case Exit.UNREACHABLE, asyncpg.PostgresError():
            return f"PostgreSQL refuses: {text}"
        case Exit.WRONG, asyncpg.PostgresError():
            return f"{text}; is the database migrated? (annals migrate SERVICE)"
        case Exit.UNREACHABLE, NothingRuns():
            return text
        case Exit.UNREACHABLE, _:
            name = type(error).__name__  # with which some begin by themselves
            return f"a server does not answer: {name}: {text.removeprefix(f'{name}: ')}"
        case Exit.UNFORESEEN, _:
            return f"unforeseen {type(error).__name__}: {text} (annals --debug … shows where)"
        case _:
            return text


def _of_postgres(error: Exception) -> Exit:
    if is_transient(error) or (getattr(error, "sqlstate", None) or "").startswith(_REFUSED):
        return Exit.UNREACHABLE
    return Exit.WRONG if is_not_made(error) else Exit.UNFORESEEN
