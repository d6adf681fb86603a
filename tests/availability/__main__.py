"""`make availability`: requests through the gateway while every process is restarted in turn, two of each service.

python tests/availability [--seconds 600] [--per-second 20]

Prints what was restarted and what failed; the exit code is 1 if less than 99.9 % of the requests succeed.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections import Counter
from time import monotonic

from callers import Outcome, all_votes_shown, calling
from restarts import PATIENT, endlessly, restart

from annals.town import Town
from local_stack.stack import remove_if_stopped

NAME = "availability"
EXPECTED = 0.999
PAUSE_SECONDS = 2


async def measure(seconds: float, per_second: float) -> bool:
    """Whether as many requests as expected succeeded, and every vote that was acknowledged is shown."""
    town = Town(NAME, instances=2, gateway=True, settings=PATIENT)
    try:
        directory = await town.start(lambda *_: None)
        async with calling(directory, per_second) as outcome:
            restarted = await _restart_in_turn(town, seconds, outcome)
        await all_votes_shown(directory, outcome)
    finally:
        await town.stop()
        remove_if_stopped(NAME)
    _report(outcome, restarted)
    return outcome.availability >= EXPECTED


async def _restart_in_turn(town: Town, seconds: float, outcome: Outcome) -> Counter[str]:
    restarted: Counter[str] = Counter()
    begun = monotonic()
    for name in endlessly(town):
        if monotonic() - begun > seconds:
            return restarted
        await restart(town, name)
        restarted[name] += 1
        at = f"{monotonic() - begun:6.0f} s  {name:<14}"
        print(f"{at} {outcome.requests} requests, {outcome.failures.total()} failed", flush=True)
        await asyncio.sleep(PAUSE_SECONDS)
    raise AssertionError("unreachable: the names never end")


def _report(outcome: Outcome, restarted: Counter[str]) -> None:
    print(f"\n{restarted.total()} restarts: {', '.join(f'{name} {times}' for name, times in restarted.items())}")
    print(f"{outcome.requests} requests, {100 * outcome.availability:.3f} % succeeded, expected {100 * EXPECTED} %")
    half, most, last = (f"{outcome.slowest(share):.3f} s" for share in (0.5, 0.99, 1))
    print(f"half was answered in {half}, 99 % in {most}, the last in {last}")
    for kind, times in outcome.failures.most_common():
        print(f"{times:6}  {kind}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600, help="how long processes are restarted (600)")
    parser.add_argument("--per-second", type=float, default=20, help="requests (20)")
    given = parser.parse_args()
    sys.exit(0 if asyncio.run(measure(given.seconds, given.per_second)) else 1)
