"""Every version of the schema files that was ever published, from the repository's history.

Comparing with the committed files alone can be evaded: change a class, and commit the regenerated file with it. What
was on the main branch once may have been deployed, and its records are in a topic.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MAIN = ("refs/remotes/origin/HEAD", "refs/remotes/origin/main", "refs/heads/main", "HEAD")
"""The first of these that exists is the published branch; commits of other branches are still drafts."""


@dataclass(frozen=True, slots=True)
class Version:
    """A schema as some commit of the main branch had it; the commit is the newest that did."""

    message: str
    commit: str
    schema: dict[str, Any]


@dataclass(frozen=True, slots=True)
class History:
    """What was published; `gap` says why that may not be all, None if it is."""

    versions: tuple[Version, ...]
    gap: str | None = None


def published(directory: Path) -> History:
    """All versions of the schema files in `directory`, newest first, each once."""
    try:
        _git(directory, "rev-parse", "--show-toplevel")
    except FileNotFoundError:
        return History((), "git is not installed")
    except subprocess.CalledProcessError as error:
        return History((), error.stderr.strip().partition("\n")[0])
    shallow = _git(directory, "rev-parse", "--is-shallow-repository").strip() == "true"
    versions = tuple(_versions(directory))
    return History(versions, "the clone is shallow" if shallow else None)


def _versions(directory: Path) -> Iterator[Version]:
    main = next((ref for ref in MAIN if _exists(directory, ref)), None)
    if main is None:
        return  # no commit yet
    log = _git(
        directory, "log", "--first-parent", "-m", "--raw", "--no-renames", "--no-abbrev", "--format=%h", main, "--", "."
    )
    blobs: dict[tuple[str, str], str] = {}  # the newest commit by message and blob
    commit = ""
    for line in filter(None, log.splitlines()):
        if not line.startswith(":"):
            commit = line
            continue
        fields, path = line.split("\t", 1)
        blob = fields.split()[3]
        if path.endswith(".json") and blob.strip("0"):  # all zeros: deleted
            blobs.setdefault((Path(path).name.removesuffix(".json"), blob), commit)
    schemas = _contents(directory, {blob for _, blob in blobs})
    for (message, blob), commit in blobs.items():
        yield Version(message, commit, schemas[blob])


def _contents(directory: Path, blobs: set[str]) -> dict[str, Any]:
    """The JSON in some blobs, all at once: a process for each would take seconds."""
    said = _git(directory, "cat-file", "--batch=%(objectname)", given="".join(f"{blob}\n" for blob in blobs))
    parts = re.split(r"^([0-9a-f]{40,64})$\n", said, flags=re.MULTILINE)[1:]
    return {blob: json.loads(content) for blob, content in zip(parts[::2], parts[1::2], strict=True)}


def _exists(directory: Path, ref: str) -> bool:
    try:
        _git(directory, "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")
    except subprocess.CalledProcessError:
        return False
    return True


def _git(directory: Path, *arguments: str, given: str = "") -> str:
    """The output of git. Raises CalledProcessError, or FileNotFoundError where git is not installed."""
    command = ["git", *arguments]
    return subprocess.run(command, cwd=directory, input=given, capture_output=True, encoding="utf-8", check=True).stdout  # noqa: S603
