"""What all servers of the stack have in common."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from local_stack import guard
from local_stack.process import ServerProcess

SLOW_GUARD = f"""
import runpy, subprocess, time
launch = subprocess.Popen
def slowly(*command, preexec_fn, **how):
    return launch(*command, preexec_fn=lambda: (time.sleep(1), preexec_fn()), **how)
subprocess.Popen = slowly
runpy.run_path({guard.__file__!r}, run_name="__main__")
"""


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


def test_a_server_told_to_end_before_it_runs_its_program_ends() -> None:
    spec = {"command": ["sleep", "60"], "cwd": "/", "stop_signal": signal.SIGTERM, "grace": 5, "uid": None, "gid": None}
    with subprocess.Popen([sys.executable, "-c", SLOW_GUARD, json.dumps(spec)], stdin=subprocess.PIPE) as slow_guard:
        while not (children := psutil.Process(slow_guard.pid).children()):
            time.sleep(0.01)
        children[0].send_signal(signal.SIGTERM)
        assert slow_guard.wait(30) == -signal.SIGTERM & 0xFF
