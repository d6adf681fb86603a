"""The Go code of the prover: formatted, and its own tests."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from local_stack.golang import find_go
from local_stack.process import blocking

HERE = Path(__file__).parent


def test_the_tests_of_circuit_tree_and_formats_pass() -> None:
    command = [
        str(blocking(find_go())),
        "test",
        "-trimpath",
        "-mod=readonly",
        "./...",
    ]  # as the build: it shares its cache
    environment = {**os.environ, "GOTOOLCHAIN": "local", "CGO_ENABLED": "0"}
    done = subprocess.run(command, cwd=HERE, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ok  \tannals/zk/listening" in done.stdout


def test_the_code_is_formatted() -> None:
    formatter = blocking(find_go()).with_name("gofmt")
    said = subprocess.run([formatter, "-l", "."], cwd=HERE, capture_output=True, text=True, timeout=600, check=True)
    assert said.stdout == ""
