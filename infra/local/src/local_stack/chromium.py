"""Chromium, in which pages are tested: the system's, else installed by apt."""

import asyncio
import shutil

from local_stack.apt import apt_install
from local_stack.paths import FileLock, local
from local_stack.process import LocalStackError

_NAMES = ("chromium", "chromium-browser", "google-chrome")


async def find_chromium() -> str:
    """Returns the path of a Chromium, installing it by apt if need be and possible."""
    async with FileLock(local() / "chromium.lock"):
        found = _installed()
        if found is None and await asyncio.to_thread(apt_install, "chromium", "fonts-dejavu-core"):
            found = _installed()
    if found is None:
        raise LocalStackError(
            "the console is tested in Chromium, and there is none; install it:\n"
            "  sudo apt-get install chromium    (macOS: brew install --cask chromium)"
        )
    return found


def _installed() -> str | None:
    return next((path for name in _NAMES if (path := shutil.which(name)) is not None), None)
