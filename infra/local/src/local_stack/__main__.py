"""The command `python -m local_stack`: up, down, status, env, run, fetch, clean."""

import argparse
import asyncio
import json
import logging
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

from rich.console import Console

from local_stack import chromium, golang, kafka, nginx
from local_stack.apt import READERS_TOOLS, find_program, require_programs
from local_stack.display import display
from local_stack.paths import local
from local_stack.process import LocalStackError
from local_stack.stack import (
    SERVERS,
    Addresses,
    Report,
    Stack,
    is_locked,
    owner_of,
    remove_if_stopped,
    running,
    stacks,
)

_EXAMPLES = """
A real PostgreSQL, a real Apache Kafka and the devnet on free loopback ports, without Docker.

  python -m local_stack up                    start them in the background
  python -m local_stack status                what runs, and where
  eval "$(python -m local_stack env)"         the addresses as environment variables
  python -m local_stack down                  stop them
  python -m local_stack run --name scratch    the same in the foreground, beside the first, until Ctrl-C
"""


def main() -> int:
    """Returns the status of the process: 0, or 1 with a message on standard error."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # while a broker starts, its client finds much to say
    arguments = _parser().parse_args()
    command: Callable[[argparse.Namespace], int] = arguments.command
    try:
        return command(arguments)
    except LocalStackError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m local_stack", description=_EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True, metavar="command")

    def add(name: str, function: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(command=function)
        return command

    for command in (
        add("up", _up, "start a stack in the background and wait until it answers"),
        add("run", _run, "run a stack in the foreground until Ctrl-C"),
    ):
        command.add_argument("--name", default="local")
        command.add_argument(
            "--keep", action="store_true", help="keep PostgreSQL's and Kafka's data of the last run (the chain is new)"
        )
        command.add_argument("--fast", action="store_true", help="trade safety against a power failure for speed")
    command.add_argument("--report", type=Path, help=argparse.SUPPRESS)  # how `up` follows the `run` it starts
    add("down", _down, "stop a stack; its data stays until the next start").add_argument("--name", default="local")
    add("status", _status, "show the stacks and their addresses")
    add("env", _env, "print a stack's addresses as shell exports").add_argument("--name", default="local")
    add(
        "fetch",
        _fetch,
        "fetch Kafka, nginx, promtool, Chromium and kcat, build the programs in Go (done when first needed otherwise)",
    )
    add("clean", _clean, "delete the data of all stacks that are not running, and the fetched programs")
    return parser


def _run(arguments: argparse.Namespace) -> int:
    if arguments.report is not None:
        return asyncio.run(_serve(arguments, _report_to(arguments.report)))
    status = asyncio.run(_serve(arguments, display(Console())))
    print(f"stopped the stack `{arguments.name}`")
    return status


@contextmanager
def _report_to(path: Path) -> Iterator[Report]:
    """Writes progress as lines of JSON, for the `up` that reads them."""
    with path.open("a") as file:

        def write(server: str, state: str, detail: str) -> None:
            print(json.dumps([server, state, detail]), file=file, flush=True)

        yield write


async def _serve(arguments: argparse.Namespace, progress: AbstractContextManager[Report]) -> int:
    """Runs the stack until a signal, or until one of its servers ends by itself."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    stack = Stack(arguments.name, fresh=not arguments.keep, durable=not arguments.fast)
    stopping = asyncio.create_task(stop.wait())
    with progress as report:
        starting = asyncio.create_task(stack.start(report))
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            starting.cancel()
            await asyncio.wait({starting})
            return 130
        starting.result()
    if arguments.report is None:
        print(f"The stack `{arguments.name}` is ready. Ctrl-C stops it.")
    try:
        while not stop.is_set():
            if problem := stack.failed():
                raise LocalStackError(problem)
            await asyncio.wait({stopping}, timeout=0.5)
    finally:
        stopping.cancel()
        await stack.stop()
    return 0


def _up(arguments: argparse.Namespace) -> int:
    folder = local() / arguments.name
    if running(arguments.name):
        print(f"the stack `{arguments.name}` is already running")
        return 0
    folder.mkdir(exist_ok=True)
    report_file = folder / "stack.progress"
    report_file.write_text("")
    options = [option for option in ("--keep", "--fast") if getattr(arguments, option[2:])]
    command = [sys.executable, "-m", "local_stack", "run", "--name", arguments.name, "--report", report_file, *options]
    log = folder / "stack.log"
    with log.open("wb") as output:
        owner = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        with display(Console()) as report:
            _follow(owner, report_file, report, folder / "stack.json")
    except KeyboardInterrupt:
        owner.terminate()
        owner.wait(60)
        raise
    finally:
        report_file.unlink(missing_ok=True)
    if owner.returncode is not None:
        print(log.read_text(errors="replace").strip(), file=sys.stderr)
        return 1
    owner.returncode = 0  # it lives on; this keeps subprocess from warning about that
    return 0


def _follow(owner: subprocess.Popen[bytes], report_file: Path, report: Report, state: Path) -> None:
    """Shows the owner's progress until the stack is ready or the owner has ended."""
    with report_file.open() as file:
        pending = ""
        while True:
            done = owner.poll() is not None or state.is_file()
            pending += file.read()
            *lines, pending = pending.split("\n")
            for line in lines:
                report(*json.loads(line))
            if done:
                return
            time.sleep(0.05)


def _down(arguments: argparse.Namespace) -> int:
    folder = local() / arguments.name
    if not is_locked(folder):
        print(f"the stack `{arguments.name}` is not running")
        return 0
    if (owner := owner_of(folder)) is not None:
        os.kill(owner, signal.SIGTERM)
    deadline = time.monotonic() + 60
    while is_locked(folder):
        if time.monotonic() > deadline:
            raise LocalStackError(f"the stack `{arguments.name}` (process {owner}) is still running after 60 s")
        time.sleep(0.05)
    print(f"stopped the stack `{arguments.name}`")
    return 0


def _status(_arguments: argparse.Namespace) -> int:
    found = [addresses for name in stacks() if (addresses := running(name))]
    if not found:
        print("no stack is running; `python -m local_stack up` starts one")
        return 0
    for one in found:
        print(f"{one.name} (process {one.pid})")
        for server, address in zip(
            SERVERS, (one.postgres_url.rsplit("@", 1)[1], one.kafka, one.devnet_url), strict=True
        ):
            print(f"  {server:<10}  {address}")
    return 0


def _env(arguments: argparse.Namespace) -> int:
    for key, value in _needed(arguments.name).environment().items():
        print(f"export {key}={shlex.quote(value)}")
    return 0


def _needed(name: str) -> Addresses:
    addresses = running(name)
    if addresses is None:
        raise LocalStackError(f"the stack `{name}` is not running; `python -m local_stack up --name {name}` starts it")
    return addresses


def _fetch(_arguments: argparse.Namespace) -> int:
    asyncio.run(_fetch_all())
    return 0


async def _fetch_all() -> None:
    """All at once, for each waits mostly for somebody else; but one package manager serves one at a time."""

    async def packages() -> None:
        await nginx.find_nginx()
        await find_program("prometheus", "usr/bin/promtool")
        await chromium.find_chromium()
        await require_programs(*READERS_TOOLS)

    def says(name: str) -> Callable[[str], None]:
        return partial(print, f"{name}:", flush=True)

    programs = (program.build(says(program.name)) for program in (golang.PROVER, golang.CHART))
    await asyncio.gather(packages(), kafka.prepare(says("Kafka")), *programs)


def _clean(_arguments: argparse.Namespace) -> int:
    kept = [name for name in stacks() if not remove_if_stopped(name)]
    if kept:
        print(f"still running, kept: {', '.join(kept)}")
        return 0
    for link in local().iterdir():
        if link.is_symlink() and link.is_dir():
            shutil.rmtree(link.resolve())
    shutil.rmtree(local())
    return 0


if __name__ == "__main__":
    sys.exit(main())
