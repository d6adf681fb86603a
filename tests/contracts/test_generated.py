"""What is generated from the code and committed: it must be what the code says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def run(*command: str) -> None:
    done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_schemas_of_the_messages_are_those_of_the_classes() -> None:
    run("-m", "contracts.schemas", "--check")


def test_the_asyncapi_documents_and_the_environment_example_are_those_of_the_services() -> None:
    run("infra/ci/generated.py", "--check")
