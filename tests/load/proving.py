"""Listening proven and verified: how long a listener's machine takes, and how long the service."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path as File

from harness import Goal, Path, say
from servers import Servers

from contracts.testing import address
from local_stack.golang import PROVER
from local_stack.process import blocking
from zk import Claim, Commitment, Period, Proof, Prover, Record, Secret, Verifier, scope

RECORDS = 10_000
CHECKS = 20
THRESHOLD, HEARD = 3_600, 4_000
WHERE = scope(address(100), 9, 202_645)
RECIPIENT = address(1)


@cache
def _program() -> File:
    return blocking(PROVER.build())


@cache
def _committed() -> tuple[Secret, Commitment]:
    prover = Prover(_program())
    listener = prover.secret()
    begun = time.perf_counter()
    tree = prover.commit(WHERE, [Record(listener.member, HEARD), *(Record(n, HEARD) for n in range(1, RECORDS))])
    say(f"committing to {RECORDS:,} records: {time.perf_counter() - begun:.1f} s")
    return listener, tree


def _prove() -> Proof:
    """What a listener does with the period's tree, from the file to the proof, which is verified at once."""
    prover, (listener, tree) = Prover(_program()), _committed()
    return prover.prove(prover.witness(tree, Claim(listener.secret, HEARD, THRESHOLD, RECIPIENT)))


_proof = cache(_prove)


def _milliseconds(work: Callable[[], object], times: int) -> float:
    begun = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - begun) / times * 1e3


async def prove(servers: Servers) -> float:
    return await asyncio.to_thread(lambda: (_committed(), _milliseconds(_prove, 1))[1])


async def start(servers: Servers) -> float:
    """The start of the program, which says what it is and ends."""
    return await asyncio.to_thread(lambda: _milliseconds(Prover(_program()).manifest, 1))


async def verify(servers: Servers) -> float:
    """As `POST /claims/zk` does: points, statement, and the contract's code in a virtual machine."""
    proof, verifier = await asyncio.to_thread(_proof), Verifier()
    period = Period(WHERE, proof.commitment, THRESHOLD)
    return _milliseconds(lambda: verifier.check(proof, period, RECIPIENT, claimed=False), CHECKS)


async def verify_by_program(servers: Servers) -> float:
    """The prover's own verification, which is Go, with the start of its process."""
    given = json.dumps((await asyncio.to_thread(_proof)).to_dict()).encode()

    def verified() -> None:
        subprocess.run([_program(), "verify"], input=given, check=True, stdout=subprocess.DEVNULL, timeout=60)

    return await asyncio.to_thread(lambda: _milliseconds(verified, CHECKS))


PATHS = (
    Path("zk_prove", "ms", prove, start, Goal(ours=3_000, at_most=True)),
    Path("zk_verify", "ms", verify, verify_by_program, Goal(ours=50, at_most=True)),
)
