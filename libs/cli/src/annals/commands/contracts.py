"""Deploy the contracts to a network, and see whether those on it are the compiled ones."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Annotated

import typer

from annals import deployment, shell
from annals.deployment import NETWORKS, Outcome
from annals.errors import NothingRuns, UnknownName
from annals.shell import Json, StackName, Yes, console, errors
from tron.cost import Cost
from tron.errors import InvalidArgument
from tron.journal import Journal
from tron.keys import Key
from tron.plan import Plan
from tron.signers import read_keystore, seal_keystore
from tron.units import trx
from tron.verify import Verdict

NODE = "CHAIN_NODE_URL"
KEY = "ANNALS_DEPLOYER_KEY"
PASSWORD = "ANNALS_KEYSTORE_PASSWORD"  # noqa: S105  # the name of a variable

app = typer.Typer(cls=shell.Commands, no_args_is_help=True, help="The five contracts on a TRON network.")

NetworkName = Annotated[str, typer.Option("--network", metavar="NAME", help=f"One of {', '.join(NETWORKS)}.")]
Node = Annotated[str | None, typer.Option(metavar="URL", help="A node of one's own instead of the public one.")]
SolidityNode = Annotated[
    str | None, typer.Option(metavar="URL", help="Its /walletsolidity, where that is at another address.")
]


@app.command()
def deploy(
    network: NetworkName,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", exists=True, dir_okay=False, help="What to deploy (TOML).")
    ] = None,
    journal: Annotated[
        Path | None, typer.Option(metavar="FILE", help="What was done (default: contracts.NETWORK.journal).")
    ] = None,
    addresses: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where they are (default: contracts.NETWORK.json).")
    ] = None,
    keystore: Annotated[
        Path | None,
        typer.Option(metavar="FILE", exists=True, dir_okay=False, help=f"The deployer's key, else ${KEY}."),
    ] = None,
    node: Node = None,
    solidity_node: SolidityNode = None,
    accept_unaudited: Annotated[
        bool, typer.Option("--accept-unaudited", help="Nobody has audited the contracts; the main network needs this.")
    ] = False,
    yes: Yes = False,
    as_json: Json = False,
    stack: StackName = None,
) -> None:
    """Deploy the five contracts, wire them together, verify their code, and write their addresses to a file.

    It shows the cost and asks. Each transaction is in the journal before it is sent: interrupted anywhere and run
    again, the command goes on where it was and deploys nothing twice. The key comes from the environment or from a
    keystore, whose password is asked for or in ANNALS_KEYSTORE_PASSWORD; on a local network it is a development key.

    $ annals contracts deploy --network local
    $ annals contracts deploy --network nile --config dcmx.toml --keystore my.json
    $ annals contracts deploy --network mainnet --accept-unaudited --config F
    """
    _known(network)
    if config is None and network != "local":
        raise typer.BadParameter(f"--config: expected a file, for {network} is a public network")
    if network == "mainnet" and not accept_unaudited:
        raise typer.BadParameter("the contracts are unaudited: the main network needs --accept-unaudited")
    written = journal or Path(f"contracts.{network}.journal")
    if not written.parent.is_dir():
        raise typer.BadParameter(f"--journal: expected a file in a folder that is there, got {written}")
    plan = _plan(config)
    key = _key(network, keystore)
    _use(network, node, stack)

    def confirm(chain_id: int, price: Cost) -> None:
        _show(price, f"{network}, chain {chain_id}")
        if price.affordable:
            shell.ask("Deploy?", yes)

    async def run() -> Outcome:
        with Journal.open(written) as opened:
            async with deployment.connected(network, node, solidity_node) as client:
                return await deployment.deployed(
                    client,
                    key,
                    plan,
                    opened,
                    solid=network != "local",
                    accept_unaudited=accept_unaudited,
                    confirm=confirm,
                    report=_report,
                )

    outcome = shell.run(run())
    done, file = outcome.deployment, addresses or Path(f"contracts.{network}.json")
    if outcome.ok:
        deployment.write_addresses(file, outcome.addresses())
    if as_json:
        facts = {"network": network, "deployer": key.address, "contracts": outcome.addresses(), "ok": outcome.ok}
        facts |= {"chain_id": done.chain_id, "first_block": done.first_block, "fee_sun": done.fee_sun}
        shell.print_json({**facts, "file": str(file), "verified": [verdict.to_dict() for verdict in outcome.verdicts]})
    else:
        _say_verdicts(outcome.verdicts)
        if outcome.ok:
            console.say(f"Deployed for {trx(done.fee_sun)} TRX. For the chain service:")
            console.say(f"CHAIN_CONTRACTS={file} CHAIN_START_BLOCK={done.first_block}")
    shell.end(good=outcome.ok)


@app.command()
def verify(
    network: NetworkName,
    addresses: Annotated[
        Path | None,
        typer.Option(metavar="FILE", exists=True, dir_okay=False, help="As `deploy` wrote (contracts.NETWORK.json)."),
    ] = None,
    node: Node = None,
    solidity_node: SolidityNode = None,
    as_json: Json = False,
    stack: StackName = None,
) -> None:
    """Compare the code on the chain, byte by byte and with its immutables, with what was compiled. Changes nothing.

    Without a file the contracts are those of CHAIN_CONTRACTS, as for a local stack. Exit code 1 if one differs.

    $ annals contracts verify --network local
    $ annals contracts verify --network nile --addresses contracts.nile.json --json
    """
    _known(network)
    _use(network, node, stack)
    file = addresses or Path(f"contracts.{network}.json")
    source = str(file) if addresses or file.exists() else os.environ.get("CHAIN_CONTRACTS")
    if source is None:
        raise typer.BadParameter(f"--addresses: expected a file, for there is no {file} and no CHAIN_CONTRACTS")

    async def run() -> list[Verdict]:
        async with deployment.connected(network, node, solidity_node) as client:
            return await deployment.verified(client, deployment.read_addresses(source))

    verdicts = shell.run(run())
    if as_json:
        shell.print_json([verdict.to_dict() for verdict in verdicts])
    else:
        _say_verdicts(verdicts)
    shell.end(good=all(verdict.ok for verdict in verdicts))


@app.command()
def keystore(
    file: Annotated[Path, typer.Argument(help="The file to write; the chain service takes <sender>.json.")],
    as_json: Json = False,
) -> None:
    """Encrypt a private key into a file, for `deploy --keystore` and the folder CHAIN_KEYSTORE of the chain service.

    The key and the password are asked for, or in ANNALS_DEPLOYER_KEY and ANNALS_KEYSTORE_PASSWORD. A file that is
    there stays as it is.

    $ annals contracts keystore deployer.json
    """
    secret = os.environ.get(KEY) or typer.prompt("Private key, 64 hex digits", hide_input=True, err=True)
    key = _from_hex(secret, KEY if KEY in os.environ else "the key")
    password = os.environ.get(PASSWORD) or typer.prompt(
        f"Password of {file}", hide_input=True, confirmation_prompt=True, err=True
    )
    sealed = seal_keystore(key, password)
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as written:
        written.write(sealed + "\n")
    shell.say(f"{file}: the key of {key.address}", as_json, file=str(file), address=key.address)


def _report(step: str, state: str) -> None:
    errors.say(f"{step}: {state}")


def _known(network: str) -> None:
    if network not in NETWORKS:
        raise UnknownName.among("no network", network, NETWORKS)


def _use(network: str, node: str | None, stack: str | None) -> None:
    """Where a local network is: at the node that is named, or CHAIN_NODE_URL, or in the local stack."""
    if network != "local" or node is not None:
        return
    if stack is not None or NODE not in os.environ:
        shell.use(stack, needs=None)
    if NODE not in os.environ:
        raise NothingRuns(stack)


def _plan(config: Path | None) -> Plan:
    try:
        return deployment.plan_of(config)
    except (InvalidArgument, tomllib.TOMLDecodeError) as error:
        raise typer.BadParameter(f"{config}: {error}") from None


def _key(network: str, keystore: Path | None) -> Key:
    if keystore is not None:
        password = os.environ.get(PASSWORD) or typer.prompt(f"Password of {keystore}", hide_input=True, err=True)
        return read_keystore(keystore, password)
    if (secret := os.environ.get(KEY)) is not None:
        return _from_hex(secret, KEY)
    if network == "local":
        import devnet  # only here: it brings the whole virtual machine

        return Key.from_hex(devnet.accounts(1)[0].private_key)
    raise typer.BadParameter(f"expected the deployer's key: --keystore FILE, or {KEY} in the environment")


def _from_hex(secret: str, source: str) -> Key:
    try:
        return Key.from_hex(secret)
    except ValueError:
        raise typer.BadParameter(f"{source}: expected a private key of 64 hex digits") from None


def _show(price: Cost, where: str) -> None:
    energy = f"{price.energy:,} energy at {price.energy_price_sun} sun"
    if price.staked_energy:
        energy += f" ({price.staked_energy:,} of it staked for)"
    errors.say(
        f"{where}: {price.steps} transactions of {price.owner}, at most {trx(price.fee_sun)} TRX = {energy} + "
        f"{price.bandwidth:,} bytes at {price.bandwidth_price_sun} sun; it has {trx(price.balance_sun)} TRX."
    )
    for warning in price.warnings:
        errors.say(f"! {warning}")


def _say_verdicts(verdicts: list[Verdict]) -> None:
    for verdict in verdicts:
        said = "as compiled" if verdict.ok else verdict.problem
        console.say(f"{verdict.contract:<20} {verdict.address}  {said}")
