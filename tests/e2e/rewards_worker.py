"""The whole rewards service as a process that kills itself at a step of its log."""

from __future__ import annotations

import asyncio
from typing import Any

import rewards.app
from eventlog.testing import Doom, DoomedLog, fork_for_each_plan
from rewards.settings import RewardsSettings
from service.logs import configure_logs


async def main(plan: dict[str, Any]) -> None:
    DoomedLog.doom = Doom(plan["kill"], plan["number"])
    rewards.app.EventLog = DoomedLog  # type: ignore[misc]
    settings = RewardsSettings(**plan["settings"])
    configure_logs(settings)
    await rewards.app.create(settings).serve(asyncio.Event())


fork_for_each_plan(main)
