"""The command `python -m devnet`."""

from __future__ import annotations

import asyncio
import signal
import socket
import tempfile
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
import uvicorn
import uvloop

from devnet.app import Protocol, Server
from devnet.settings import Settings

_EXAMPLES = """
A local TRON network on one origin: /wallet, /walletsolidity, /jsonrpc and /devnet.

When it is ready it prints one line of JSON with its URL. SIGTERM or Ctrl-C ends it.

Examples:

  python -m devnet                            a block every 3 seconds on port 9090

  python -m devnet --port 0 --on-demand       any free port, blocks only by POST /devnet/mine

  python -m devnet --block-time 0.2           fast blocks for tests

  python -m devnet --data chains --restore big    go on with a chain saved as "big"

  python -m devnet --data chains --keep town      the same chain after each restart
"""


class _Web(uvicorn.Server):
    """A server that says when it is ready and ends with status 0 on a signal."""

    def __init__(self, config: uvicorn.Config, network: Server, ready: dict[str, Any]) -> None:
        super().__init__(config)
        self._network = network
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts to serve, then prints the ready line."""
        await super().startup(sockets)
        for number in (signal.SIGINT, signal.SIGTERM):  # uvicorn would end by raising the signal again
            asyncio.get_running_loop().add_signal_handler(number, self._end)
        typer.echo(orjson.dumps(self._ready).decode())

    def _end(self) -> None:
        self.should_exit = True
        self._network.control.faults.clear()  # what hangs would hold up the end


async def serve(
    settings: Settings, host: str, port: int, data: Path, restore: str | None = None, keep: str | None = None
) -> None:
    """Serves until SIGINT or SIGTERM: a new chain, or one that was saved in the folder `data`.

    The chain `keep` is restored if it is there, and saved at the end.
    """
    listener = socket.create_server((host, port), backlog=1024)
    bound_host, bound_port = listener.getsockname()[:2]
    server = Server(settings, data)
    if keep is not None and any(saved["name"] == keep for saved in server.control.saved({})):
        restore = keep
    if restore is not None:
        server.control.restore({"name": restore})
    config = uvicorn.Config(
        server.app(),
        access_log=False,
        http=Protocol,
        log_level="warning",
        timeout_graceful_shutdown=2,
        timeout_keep_alive=60,
    )
    ready = {"url": f"http://{bound_host}:{bound_port}", "chain_id": server.chain.chain_id}
    await _Web(config, server, {**ready, "block_time": settings.block_time}).serve(sockets=[listener])
    if keep is not None:
        server.control.save({"name": keep})


def command(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.", min=0, max=65535)] = 9090,
    block_time: Annotated[float, typer.Option(help="Seconds between blocks.", min=0.01)] = 3.0,
    on_demand: Annotated[bool, typer.Option("--on-demand", help="Make blocks only when asked to.")] = False,
    accounts: Annotated[int, typer.Option(help="Pre-funded development accounts.", min=1, max=10_000)] = 20,
    solid_distance: Annotated[int, typer.Option(help="Blocks from the head to the solidified one.", min=0)] = 18,
    energy_price: Annotated[int, typer.Option(help="Sun per energy.", min=1)] = 100,
    data: Annotated[
        Path | None, typer.Option(help="Folder of saved chains (default: a temporary one).", file_okay=False)
    ] = None,
    restore: Annotated[str | None, typer.Option(metavar="NAME", help="Begin with a chain saved in --data.")] = None,
    keep: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Begin with this chain of --data if it is there; save it at the end."),
    ] = None,
) -> None:
    """Runs the network."""
    settings = Settings(
        block_time=None if on_demand else block_time,
        accounts=accounts,
        solid_distance=solid_distance,
        energy_price_sun=energy_price,
    )
    if keep is not None and data is None:
        raise typer.BadParameter("expected a folder in --data, too", param_hint="--keep")
    with tempfile.TemporaryDirectory() as temporary, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(serve(settings, host, port, data or Path(temporary), restore, keep))
        except ValueError as error:  # of a saved chain
            raise typer.BadParameter(str(error), param_hint="--restore" if restore else "--keep") from error


def main() -> None:
    """The entry point of the `devnet` command."""
    app = typer.Typer(add_completion=False)
    app.command(help=_EXAMPLES)(command)
    app()


if __name__ == "__main__":
    main()
