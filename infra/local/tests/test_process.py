"""What all servers of the stack have in common."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import psutil

from local_stack.process import ServerProcess


async def test_a_server_has_its_environment_and_no_command_line_shows_it(tmp_path: Path) -> None:
    say = "import os, time; print(os.environ['PASSWORD'], flush=True); time.sleep(0.5)"
    server = ServerProcess(
        "speaker", [sys.executable, "-c", say], log=tmp_path / "log", env={"PASSWORD": "correct horse"}
    )
    seen = [" ".join(process.cmdline()) for process in psutil.Process(os.getpid()).children(recursive=True)]
    assert await server.ended(60) == 0
    assert server.tail() == "correct horse"
    assert seen
    assert not any("correct horse" in line for line in seen)
