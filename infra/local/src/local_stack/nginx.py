"""The gateway of `infra/gateway`, run by the system's nginx, else by that of Debian's package, unpacked in `.local`."""

import asyncio
import os
import shutil
import ssl
import urllib.request
from collections.abc import Iterable, Mapping
from pathlib import Path

from local_stack.paths import FileLock, checkout, local
from local_stack.process import LocalStackError, ServerProcess, bring_up, run_program

_FETCH_SECONDS = 300
_UNPACK = 'cd "$1" && apt-get -q download nginx && dpkg-deb -x nginx_*.deb incoming && mv incoming unpacked'


async def start(
    folder: Path,
    instances: Mapping[str, Iterable[str]],
    *,
    settings: Mapping[str, str] | None = None,
    hold: Iterable[int] = (),
) -> tuple[ServerProcess, str]:
    """Starts the gateway before the `instances` (host:port) of each service; returns the process and its address.

    Its certificate is in `certificate(folder)`. `settings` are more variables of `infra/gateway`.
    """
    nginx = await find_nginx()
    addresses = {f"GATEWAY_{service.upper()}": " ".join(each) for service, each in instances.items()}

    def launch(port: int) -> ServerProcess:
        return ServerProcess(
            "nginx",
            [checkout() / "infra" / "gateway" / "start.sh"],
            log=folder / "gateway.log",
            env={
                "GATEWAY_NGINX": str(nginx),
                "GATEWAY_RUN": str(_run(folder)),
                "GATEWAY_LISTEN": f"127.0.0.1:{port}",
                **addresses,
                **(settings or {}),
            },
            grace_seconds=5,
            hold=hold,
        )

    async def check(_process: ServerProcess, port: int) -> str:
        url = f"https://127.0.0.1:{port}"
        await asyncio.to_thread(_ask, f"{url}/health", certificate(folder))
        return url

    return await bring_up(launch, check, retry_on=(OSError,))


def certificate(folder: Path) -> Path:
    """The file with the certificate that the gateway in `folder` shows, which signs itself."""
    return _run(folder) / "certificate.pem"


async def find_nginx() -> Path:
    """Returns the path of `nginx`, unpacking Debian's package if need be and possible (it is not installed)."""
    if (found := shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")) is not None:
        return Path(found)
    home = local() / "nginx"
    program = home / "unpacked" / "usr" / "sbin" / "nginx"
    home.mkdir(exist_ok=True)
    async with FileLock(home / "lock"):
        if not program.is_file():
            await _unpack(home)
    return program


async def _unpack(home: Path) -> None:
    """Not `apt-get install`, which would also start an nginx that serves the world on port 80."""
    unpack = ("sh", "-c", _UNPACK, "sh", home)
    try:
        if shutil.which("apt-get") is None or os.environ.get("ANNALS_NO_APT") == "1":
            raise LocalStackError("apt-get is missing, or forbidden by ANNALS_NO_APT=1")
        try:
            await run_program(unpack, timeout_seconds=_FETCH_SECONDS)
        except LocalStackError:  # it may not know yet where the package is
            await run_program(("apt-get", "update", "-q"), timeout_seconds=_FETCH_SECONDS)
            await run_program(unpack, timeout_seconds=_FETCH_SECONDS)
    except LocalStackError as error:
        raise LocalStackError(
            "the gateway is nginx, and there is none; install it:\n"
            f"  sudo apt-get install nginx    (macOS: brew install nginx)\n{error}"
        ) from error


def _run(folder: Path) -> Path:
    return folder / "gateway"


def _ask(url: str, certificate: Path) -> None:
    context = ssl.create_default_context(cafile=certificate)
    urllib.request.urlopen(url, timeout=5, context=context).close()  # noqa: S310 - our own server
