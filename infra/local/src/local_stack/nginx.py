"""The gateway of `infra/gateway`, run by the system's nginx, else by that of Debian's package, unpacked in `.local`."""

import asyncio
import ssl
import urllib.request
from collections.abc import Iterable, Mapping
from pathlib import Path

from local_stack.apt import find_program
from local_stack.paths import checkout
from local_stack.process import ServerProcess, bring_up


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
    """Returns the path of `nginx`, unpacking Debian's package if need be and possible."""
    return await find_program("nginx", "usr/sbin/nginx")


def _run(folder: Path) -> Path:
    return folder / "gateway"


def _ask(url: str, certificate: Path) -> None:
    context = ssl.create_default_context(cafile=certificate)
    urllib.request.urlopen(url, timeout=5, context=context).close()  # noqa: S310 - our own server
