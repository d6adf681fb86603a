"""Where everything in a local stack is; a module of its own, for all commands need it and few what builds one."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from annals.errors import UnknownName
from local_stack.paths import local
from local_stack.process import LocalStackError
from local_stack.stack import running

CHOSEN = "ANNALS_STACK"
"""The variable that says which local stack a shell is about; `annals env` sets it."""


@dataclass(frozen=True, slots=True)
class Directory:
    """Where everything in a town is: what other commands need to talk to it."""

    name: str
    environment: Mapping[str, str]
    urls: Mapping[str, str]
    private_key: str = field(repr=False)
    deployment: Mapping[str, Any]
    gateway: str | None = None
    """Its address, if there is one before the services."""

    def save(self) -> None:
        """Write it beside the stack's own file, readable by its owner only: it holds passwords and a key."""
        descriptor = os.open(file_of(self.name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(asdict(self), file, indent=2)


def directory(name: str | None = None) -> Directory | None:
    """The town `name`, None if it isn't there; without a name the one that ANNALS_STACK names, else `local`, else the
    only one that runs.

    Raises UnknownName when several run and none is named.
    """
    name = name or os.environ.get(CHOSEN)
    try:
        names = sorted(path.parent.name for path in local().glob("*/town.json") if running(path.parent.name))
    except LocalStackError:
        return None  # no checkout, so no local stacks
    if name is None and "local" not in names and len(names) > 1:
        raise UnknownName(f"several local stacks run: expected --stack, one of {', '.join(names)}")
    if name is None and names:
        name = "local" if "local" in names else names[0]
    return Directory(**json.loads(file_of(name).read_text())) if name in names else None


@contextmanager
def in_environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Inside the block this process has these variables, for commands that read theirs."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def file_of(name: str) -> Path:
    """The file that holds it."""
    return local() / name / "town.json"
