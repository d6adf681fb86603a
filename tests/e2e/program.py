"""The command as people run it: a process of its own."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE

COMMAND_SECONDS = 600.0


async def annals(*arguments: str, stdin: str = "") -> tuple[int, str]:
    """Runs the command as a process; returns its exit code and output."""
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "annals", *arguments, stdin=PIPE, stdout=PIPE, stderr=PIPE
    )
    try:
        output, errors = await asyncio.wait_for(program.communicate(stdin.encode()), COMMAND_SECONDS)
    finally:
        if program.returncode is None:
            program.kill()
            await program.wait()
    print(f"annals {' '.join(arguments)} -> {program.returncode}\n{errors.decode()[-2_000:]}")
    return program.returncode or 0, output.decode()
