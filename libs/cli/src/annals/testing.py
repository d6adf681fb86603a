"""For tests: a whole town that is thrown away afterwards."""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from annals.demo import acts
from annals.demo.theatre import Theatre, open_theatre
from annals.town import Town
from local_stack.paths import local
from local_stack.stack import remove_dead_tests, remove_if_stopped

SMALL = acts.Scale(listeners=12, tracks=6, sales_per_track=3, resales_per_track=1, tips=12, overclaimers=2, deletions=3)
"""A play of about two hundred transactions."""
QUICK_CHAIN = ("--solid-distance", "4")
LINES = 30


@asynccontextmanager
async def scratch_theatre(scale: acts.Scale = SMALL, **options: Any) -> AsyncIterator[Theatre]:
    """A theatre in a town of its own, with a quick chain; `options` are those of `Town`.

    What killed test runs have left is deleted first. An error gets the ends of the services' logs as a note.
    """
    remove_dead_tests()
    name = f"test-{os.getpid()}-{secrets.token_hex(3)}"
    quick = {"durable": False, "block_seconds": 0.25, "devnet_options": QUICK_CHAIN}
    town = Town(name, accounts=acts.accounts_needed(scale), **{**quick, **options})
    try:
        async with open_theatre(town, scale) as theatre:
            yield theatre
    except BaseException as error:
        error.add_note(_logs(name, town))
        raise
    finally:
        remove_if_stopped(name)


def _logs(name: str, town: Town) -> str:
    said = []
    for service in town.services:
        log = local() / name / f"{service}.log"
        if log.is_file():
            lines = log.read_text(errors="replace").splitlines()[-LINES:]
            said += [f"---- {service}", *(line[:1_000] for line in lines)]
    return "\n".join(said)
