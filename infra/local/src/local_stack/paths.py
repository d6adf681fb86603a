"""Where things are: the checkout and the folder of everything that is made here."""

import asyncio
import fcntl
import os
from pathlib import Path

from local_stack.process import LocalStackError

_POM = Path("infra/kafka/pom.xml")


def checkout() -> Path:
    """Returns the checkout: `ANNALS_HOME`, else the one around the working folder or around this file.

    Raises LocalStackError when there is none.
    """
    if "ANNALS_HOME" in os.environ:
        return Path(os.environ["ANNALS_HOME"]).resolve()
    for start in (Path.cwd(), Path(__file__).resolve().parent):
        for folder in (start, *start.parents):
            if (folder / _POM).is_file():
                return folder
    raise LocalStackError("not inside a checkout of Annals: change into one, or set ANNALS_HOME to it")


def pom() -> Path:
    """Returns the file that names Kafka's jars."""
    return checkout() / _POM


def local() -> Path:
    """Returns `.local` of the checkout: data of the stacks and fetched programs; safe to delete when none runs."""
    folder = checkout() / ".local"
    folder.mkdir(exist_ok=True)
    return folder


class FileLock:
    """`async with FileLock(path):` one process at a time; the kernel frees it when its holder dies."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def __aenter__(self) -> None:
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        while True:  # a blocking wait could not be cancelled
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                await asyncio.sleep(0.1)
            else:
                return

    async def __aexit__(self, *_: object) -> None:
        os.close(self._descriptor)
