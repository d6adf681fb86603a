"""Pages of the documentation as programs: a Markdown file is also the shell script of its commands.

What stands in ```sh is run, line by line and at the line numbers of the page, in one shell from top to bottom. Prose
and other fences are comments. A fence after `<!-- not run: why -->` is left out. A line whose comment says `until
Ctrl-C` is looked at, and then ended so.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
SHELL = "sh"
_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)$")
_NOT_RUN = re.compile(r"^<!-- not run: (?P<why>.+) -->$")
_UNTIL_CTRL_C = re.compile(r"^(?=[^#]*#.*\buntil Ctrl-C\b)")


@dataclass(frozen=True, slots=True)
class Fence:
    """A block of code: its language, its first line's number, its lines, and why it is not run, if somebody says."""

    language: str
    first: int
    lines: tuple[str, ...]
    not_run: str | None

    @property
    def runs(self) -> bool:
        return self.language == SHELL and self.not_run is None

    @property
    def text(self) -> str:
        return "\n".join(self.lines) + "\n"


def fences(page: Path) -> Iterator[Fence]:
    """The blocks of a page, from top to bottom. Raises ValueError for one that does not end."""
    opened: tuple[re.Match[str], int] | None = None
    inside: list[str] = []
    why = None
    for number, line in enumerate(page.read_text().splitlines(), 1):
        if opened is not None and line.strip() == "```":
            indent = len(opened[0]["indent"])
            yield Fence(opened[0]["language"], opened[1] + 1, tuple(one[indent:] for one in inside), why)
            opened, inside, why = None, [], None
        elif opened is not None:
            inside.append(line)
        elif found := _FENCE.match(line):
            opened = found, number
        elif line.strip():
            why = marker["why"] if (marker := _NOT_RUN.match(line)) else None
    if opened is not None:
        raise ValueError(f"{page}:{opened[1]}: this fence does not end")


def script(page: Path, before: str) -> str:
    """The page as a script with the same line numbers; `before` takes the place of its first line, the title."""
    lines = [""] * len(page.read_text().splitlines())
    lines[0] = before
    for fence in filter(lambda fence: fence.runs, fences(page)):
        for number, line in enumerate(fence.lines, fence.first - 1):
            lines[number] = _UNTIL_CTRL_C.sub("until_ctrl_c ", line)
    return "\n".join(lines) + "\n"


PAGES = [
    ROOT / "README.md",
    *sorted(ROOT.glob("docs/*.md")),
    *sorted(ROOT.glob("infra/*/README.md")),
    *sorted(ROOT.glob("services/*/README.md")),
]
"""Those whose commands are run."""


def title(page: Path) -> str:
    return str(page.relative_to(ROOT))


def committed() -> list[Path]:
    """The files of the repository, and those about to be."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=600).stdout
    return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]
