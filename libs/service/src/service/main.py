"""The command line of every service: `python -m rewards [run | migrate | openapi | check]`."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from contextlib import nullcontext
from typing import Any, NoReturn, TypeVar, get_type_hints

import uvloop
from pydantic import ValidationError
from pydantic_settings import SettingsError

from service.logs import configure_logs, get_logger
from service.process import Service, ShutdownTimeoutError, StartError
from service.settings import ServiceSettings, WrongSetting, unknown_variables
from service.trace import exporting

S = TypeVar("S", bound=ServiceSettings)
log = get_logger("service.main")


def run(create: Callable[[S], Service]) -> NoReturn:
    """The body of a service's `__main__.py`: does what the arguments say and exits.

    `create` wires the service from its settings; its parameter is named `settings` and annotated with their class.
    """
    sys.exit(main(create, sys.argv[1:]))


def main(create: Callable[[S], Service], argv: Sequence[str]) -> int:
    """`run`, for tests and the `annals` command: returns the exit code (0 good, 1 failed, 2 wrong settings)."""
    cls = settings_class(create)
    prefix = str(cls.model_config["env_prefix"])
    name = prefix.rstrip("_").lower()
    description = f"The {name} service. Settings are environment variables: {prefix}X, or ANNALS_X for all services."
    parser = argparse.ArgumentParser(prog=f"python -m {name}", description=description)
    commands = parser.add_subparsers(dest="command", metavar="command")
    commands.add_parser("run", help="serve HTTP and run the workers until SIGTERM or SIGINT (default)")
    commands.add_parser("migrate", help=f"bring the database to the newest schema, as {prefix}OWNER_DATABASE_URL")
    commands.add_parser("openapi", help="print the OpenAPI document")
    commands.add_parser("check", help="ask the database, Kafka and whatever else is needed; exit 1 if something fails")
    command = parser.parse_args(argv).command or "run"
    try:
        settings = cls()
    except (ValidationError, SettingsError) as error:
        print("\n".join(_setting_errors(cls, error)), file=sys.stderr)
        return 2
    configure_logs(settings)
    work: dict[str, Callable[[Service], Coroutine[Any, Any, int]]] = {
        "run": _run, "migrate": _migrate, "openapi": _openapi, "check": _check,
    }  # fmt: skip

    async def perform() -> int:
        try:
            return await work[command](create(settings))
        except WrongSetting as error:
            setting, _, problem = str(error).partition(":")
            print(f"{prefix}{setting.upper()}:{problem}", file=sys.stderr)
            return 2
        except ShutdownTimeoutError as error:
            log.error("shutdown took too long, the process is ended", reason=str(error))
            logging.shutdown()
            os._exit(1)  # whatever ignores its cancellation would keep the event loop from closing

    with exporting(settings) if command == "run" else nullcontext():
        return uvloop.run(perform())


def settings_class(create: Callable[[S], Service]) -> type[S]:
    """The class of settings that `create` is annotated with."""
    cls = get_type_hints(create).get("settings")
    if not (isinstance(cls, type) and issubclass(cls, ServiceSettings)):
        raise TypeError(f"{create.__qualname__}: expected a parameter settings annotated with a ServiceSettings class")
    return cls  # type: ignore[return-value]  # S is bound by the annotation just read


async def _run(service: Service) -> int:
    for name in unknown_variables(type(service.settings)):
        log.warning("unknown environment variable, misspelt?", variable=name)
    stop = asyncio.Event()

    def on_signal(signum: signal.Signals) -> None:
        if stop.is_set():
            log.warning("second signal, the process is ended", signal=signum.name)
            logging.shutdown()
            os._exit(128 + signum)
        log.info("signal received", signal=signum.name)
        stop.set()

    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, on_signal, signum)
    try:
        await service.serve(stop)
    except ShutdownTimeoutError:
        raise
    except StartError as error:
        log.critical("cannot start", reason=str(error))
        return 1
    except Exception as error:
        log.critical("the process ends on an error", exc_info=error)
        return 1
    return 0


async def _migrate(service: Service) -> int:
    try:
        found = await service.migrate()
    except Exception as error:
        log.critical("migration failed, nothing was changed", exc_info=error)
        return 1
    print(f"{service.name}: the database is at migration {found}" if found else f"{service.name} has no migrations")
    return 0


async def _openapi(service: Service) -> int:
    print(json.dumps(service.api.openapi(), indent=2, sort_keys=True, ensure_ascii=False))
    return 0


async def _check(service: Service) -> int:
    async with service.opened():
        readiness = await service.outside.ready()
    for name, result in readiness.checks.items():
        print(f"{'ok    ' if result.ok else 'FAILED'}  {name:<24}  {result.detail}")
    return 0 if readiness.ready else 1


def _setting_errors(cls: type[ServiceSettings], error: ValidationError | SettingsError) -> list[str]:
    """A line for each wrong setting, named as its variable; values are left out, for they may be secret."""
    if isinstance(error, SettingsError):
        return [str(error)]
    prefix = str(cls.model_config["env_prefix"])
    lines = []
    for found in error.errors(include_input=False, include_url=False, include_context=False):
        variable = prefix + str(found["loc"][0]).upper() if found["loc"] else "settings"
        lines.append(f"{variable}: {found['msg']}")
    return lines
