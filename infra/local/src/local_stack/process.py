"""Server processes under a guard, and what they need: free ports, an account, a check that they answer."""

import asyncio
import contextlib
import fcntl
import functools
import json
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import psutil

T = TypeVar("T")


class LocalStackError(Exception):
    """Something the reader can mend; the message says how."""


class ServerExited(LocalStackError):
    """A server ended while it was being started."""


@dataclass(frozen=True, slots=True)
class Account:
    """The account a server runs under when its owner is root."""

    name: str
    uid: int
    gid: int

    def may(self, access: str, path: Path) -> bool:
        """Whether this account has `access` ("-x", "-w") to `path`, all folders above it included."""
        command = ["test", access, str(path)]
        return subprocess.run(command, user=self.uid, group=self.gid, extra_groups=(), cwd="/").returncode == 0


def unprivileged_account() -> Account | None:
    """Returns None unless we are root: PostgreSQL refuses to run as root, so it needs somebody else."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
    raise LocalStackError("PostgreSQL cannot run as root and there is no account `postgres`: useradd --system postgres")


def own_directory(wanted: Path, account: Account | None) -> Path:
    """Returns a private folder that `account` can write to: `wanted`, or where that leads.

    The folders above a checkout may be closed to the account (a checkout below /root): then the data
    lives in the temporary folder that survives a reboot, and `wanted` becomes a link to it.
    """
    if wanted.is_symlink():
        if wanted.is_dir():
            return wanted.resolve()
        wanted.unlink()  # its target is gone
    wanted.mkdir(mode=0o700, parents=True, exist_ok=True)
    if account is None:
        return wanted
    os.chown(wanted, account.uid, account.gid)
    if account.may("-w", wanted):
        return wanted
    elsewhere = outside_directory(account)
    wanted.rmdir()
    wanted.symlink_to(elsewhere)
    return elsewhere


def outside_directory(account: Account) -> Path:
    """Returns a new private folder of `account` outside the checkout."""
    base = Path("/var/tmp")  # noqa: S108 - mkdtemp draws an unguessable, private name
    elsewhere = Path(tempfile.mkdtemp(prefix="annals-", dir=base if base.is_dir() else None))
    os.chown(elsewhere, account.uid, account.gid)
    return elsewhere


def remove_tree(directory: Path) -> None:
    """Deletes a folder together with the folders outside it that its links lead to."""
    if not directory.is_dir():
        return
    for link in [path for path in directory.iterdir() if path.is_symlink()]:
        if link.is_dir():
            shutil.rmtree(link.resolve())
    shutil.rmtree(directory)


_CHANCE = random.SystemRandom()  # the same for nobody, also where a test has seeded `random`
_PORTS_GIVEN: dict[int, int] = {}  # to the descriptor of its lock


def free_port() -> int:
    """Returns a loopback port that is free now, and that nobody else gets from here while this process lives.

    Drawn below the range from which the system takes the ports of outgoing connections, so that between
    this look and the server's bind only a stranger's server could take it. What another process of ours was
    given is known by a lock on a file of its name, which ends with that process however it ends.
    """
    folder = Path(tempfile.gettempdir(), f"annals-ports-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    while True:
        port = _CHANCE.randrange(15_000, 32_000)
        if port in _PORTS_GIVEN:
            continue
        lock = os.open(folder / str(port), os.O_CREAT | os.O_RDWR, 0o600)
        with socket.socket() as probe:
            if _locked(lock) and probe.connect_ex(("127.0.0.1", port)) != 0:
                _PORTS_GIVEN[port] = lock
                return port
        os.close(lock)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class ServerProcess:
    """A running server. It ends with `stop`, and whenever the process that started it ends."""

    def __init__(
        self,
        name: str,
        command: Iterable[str | Path],
        *,
        log: Path,
        stop_signal: signal.Signals = signal.SIGTERM,
        grace_seconds: float = 20,
        account: Account | None = None,
        env: Mapping[str, str] | None = None,
        hold: Iterable[int] = (),
    ) -> None:
        """Starts `command` with its output in `log`; `hold` are descriptors kept open until the server is gone."""
        self.name = name
        self.log = log
        spec = {
            "command": [str(part) for part in command],
            "cwd": "/",
            "stop_signal": int(stop_signal),
            "grace": grace_seconds,
            "uid": account.uid if account else None,
            "gid": account.gid if account else None,
        }
        self._grace_seconds = grace_seconds
        with log.open("wb") as output:
            self._guard = subprocess.Popen(
                [sys.executable, "-I", "-S", str(Path(__file__).with_name("guard.py")), json.dumps(spec)],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},  # never as an argument: all users of the machine can read those
                start_new_session=True,  # a Ctrl-C in the terminal reaches the owner alone, who stops all in order
                pass_fds=tuple(hold),
            )

    @property
    def alive(self) -> bool:
        return self._guard.poll() is None

    def tail(self, lines: int = 15) -> str:
        """Returns the end of the server's output."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def kill(self) -> None:
        """Kills the server without warning, as a crash would; for tests of what a crash leaves behind."""
        self.send_signal(signal.SIGKILL)

    def send_signal(self, signum: signal.Signals) -> None:
        """Sends a signal to the server itself, past its guard; to nobody when it has ended."""
        deadline = time.monotonic() + 30
        while self.alive and time.monotonic() < deadline:
            with contextlib.suppress(psutil.NoSuchProcess):
                if servers := psutil.Process(self._guard.pid).children():
                    for server in servers:
                        server.send_signal(signum)
                    return
            time.sleep(0.005)  # the guard has yet to launch it, or to notice that it has ended

    async def ended(self, timeout_seconds: float) -> int:
        """Waits until the server has ended by itself; returns its exit status, 0 when all went well.

        Raises TimeoutError.
        """
        deadline = time.monotonic() + timeout_seconds
        while (status := self._guard.poll()) is None:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.name} still runs after {timeout_seconds:.0f} s; it says:\n{self.tail()}")
            await asyncio.sleep(0.01)
        self._let_go()
        return status

    def _let_go(self) -> None:
        """Closes our end of the pipe: the guard hears it, or it has ended."""
        assert self._guard.stdin is not None
        self._guard.stdin.close()

    async def stop(self) -> None:
        """Stops the server and waits until it is gone."""
        self._let_go()
        deadline = time.monotonic() + self._grace_seconds + 5
        while self.alive:
            if time.monotonic() > deadline:
                self._guard.kill()
            await asyncio.sleep(0.01)

    async def until_ready(
        self, check: Callable[[], Awaitable[T]], *, retry_on: tuple[type[Exception], ...], timeout_seconds: float
    ) -> T:
        """Returns what `check` returns, once it no longer raises one of `retry_on`.

        Raises ServerExited when the server ends first, LocalStackError when time is up; both show its output.
        """
        deadline = time.monotonic() + timeout_seconds
        while True:
            try:
                return await check()
            except retry_on as error:
                if not self.alive:
                    raise ServerExited(f"{self.name} ended while starting; {self.log} says:\n{self.tail()}") from error
                if time.monotonic() > deadline:
                    raise LocalStackError(
                        f"{self.name} did not answer within {timeout_seconds:.0f} s "
                        f"(last: {error!r}); {self.log} says:\n{self.tail()}"
                    ) from error
            await asyncio.sleep(0.025)

    def lost_its_port(self) -> bool:
        """Whether the server ended because somebody else had taken its port."""
        return "in use" in self.log.read_text(errors="replace").lower()


async def run_program(
    command: Iterable[str | Path],
    *,
    timeout_seconds: float,
    account: Account | None = None,
    env: Mapping[str, str] | None = None,
) -> None:
    """Runs a program to its end; kills it when time is up or the caller is cancelled.

    Raises LocalStackError with the end of its output when it fails.
    """
    identity: dict[str, Any] = {}
    if account is not None:
        identity = {"user": account.uid, "group": account.gid, "extra_groups": ()}
    arguments = [str(part) for part in command]
    program = await asyncio.create_subprocess_exec(
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd="/",
        env={**os.environ, **(env or {})},
        **identity,
    )
    try:
        async with asyncio.timeout(timeout_seconds):
            output, _ = await program.communicate()
    except BaseException:
        if program.returncode is None:
            program.kill()
        await program.wait()
        raise
    if program.returncode != 0:
        shown = output.decode(errors="replace")[-2000:]
        raise LocalStackError(f"{Path(arguments[0]).name} failed with status {program.returncode}:\n{shown}")


async def bring_up(
    launch: Callable[[int], ServerProcess],
    check: Callable[[ServerProcess, int], Awaitable[T]],
    *,
    retry_on: tuple[type[Exception], ...],
    timeout_seconds: float = 120,
    port: int | None = None,
) -> tuple[ServerProcess, T]:
    """Launches a server until `check` accepts it; returns it and what `check` returned.

    It gets a free port; when it loses the race for that, it is launched again on another one, twice at most. Or it gets
    `port`, where it was before: then it is launched again while something of its predecessor is still in the way.
    """
    wanted = port
    for last in (False, False, True):
        port = wanted or free_port()
        process = launch(port)
        try:
            return process, await process.until_ready(
                functools.partial(check, process, port), retry_on=retry_on, timeout_seconds=timeout_seconds
            )
        except ServerExited:
            await process.stop()
            if last or not process.lost_its_port():
                raise
            if wanted is not None:
                await asyncio.sleep(1)
        except BaseException:
            await process.stop()
            raise
    raise AssertionError("unreachable: the last attempt returns or raises")


def blocking(work: Coroutine[object, object, T]) -> T:
    """Runs a coroutine to its end from synchronous code, even below a running event loop."""
    outcome: list[T] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            outcome.append(asyncio.run(work))
        except BaseException as error:  # handed to the caller below
            failure.append(error)

    thread = threading.Thread(target=run, name="local-stack")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return outcome[0]
