"""`annals verify`, `annals prove` and `annals verify-statement`."""

from __future__ import annotations

import gzip
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, BinaryIO, NoReturn, cast
from uuid import UUID

import typer

from annals import certificates, proofs, services, shell, statements
from annals.commands.chain import told
from annals.shell import Json, StackName, console, errors
from eventlog import BrokenSeal, InvalidProof, verify_proof
from eventlog.archive import verify as verify_archive


def verify(
    names: Annotated[list[str] | None, typer.Argument(metavar="SERVICE", help="All if none is named.")] = None,
    topic: Annotated[
        bool,
        typer.Option("--against-topic/--no-topic", help="Compare with the seals that were published on SERVICE.seals."),
    ] = True,
    anchored: Annotated[
        bool, typer.Option("--anchors", help="Compare with the seals that are anchored on the chain, too.")
    ] = False,
    proof: Annotated[
        typer.FileBinaryRead | None,
        typer.Option("--proof", metavar="FILE", help="Check a proof of `annals prove` instead; - for a pipe."),
    ] = None,
    seal: Annotated[
        str | None,
        typer.Option("--seal", metavar="HASH", help="With --proof or --archive: of a seal that you trust."),
    ] = None,
    certificate: Annotated[
        Path | None,
        typer.Option("--certificate", metavar="FILE", help="Hold one of `annals chain audit` against the log."),
    ] = None,
    archive: Annotated[
        Path | None,
        typer.Option("--archive", metavar="FILE", exists=True, help="Check one of `annals log archive` instead."),
    ] = None,
    as_json: Json = False,
    stack: StackName = None,
) -> None:
    """Recompute every seal of a log from its events, and say what was changed, removed, moved or put in.

    Compared with the published seals, it also finds a log that a superuser changed and sealed anew; compared with the
    anchored ones also if that one rules over Kafka, too. A proof or an archive is checked offline: no
    database, no Kafka and no settings are needed.

    $ annals verify
    $ annals verify rewards --no-topic --json
    $ annals verify --anchors
    $ annals verify --proof claim.json --seal 5f0c…
    $ annals verify --archive rewards.jsonl.gz --seal 5f0c…
    $ annals verify --certificate audit.json
    """
    if archive is not None:
        if names or proof is not None or certificate is not None:
            raise typer.BadParameter("expected --archive alone or with --seal, got something else, too")
        _check_archive(archive, _trusted(seal, "--seal"), as_json)
    if certificate is not None and (names or proof is not None):
        raise typer.BadParameter("expected --certificate alone, got services or --proof too")
    if proof is not None:
        if names:
            raise typer.BadParameter("expected services or --proof, got both")
        _check(cast(BinaryIO, proof).read(), _trusted(seal, "--seal"), as_json)
    if seal is not None:
        raise typer.BadParameter("expected --seal with --proof or --archive, got it alone")
    shell.use(stack)
    if certificate is not None:
        _certify(certificate, as_json)
    verified = [
        shell.run(proofs.verify(name, against_topic=topic, against_chain=anchored, console=errors))
        for name in names or services.installed()
    ]
    if as_json:
        shell.print_json([one.to_dict() for one in verified])
    else:
        for sentence in (sentence for one in verified for sentence in one.sentences()):
            console.say(sentence)
    shell.end(good=all(one.ok for one in verified))


def prove(
    service: Annotated[str, typer.Argument(help="Name of the service, such as rewards.")],
    event_id: Annotated[UUID, typer.Argument(help="The id of the event, `ce_id` on Kafka.")],
    upto: Annotated[
        int | None,
        typer.Option("--upto", min=1, metavar="SEAL", help="Chain seals up to this one, which the other side trusts."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write it here instead of printing it.")
    ] = None,
    stack: StackName = None,
) -> None:
    """Print the proof that an event is in the log, for somebody who has nothing but the hash of a seal.

    It holds the event as it is stored, with whatever its data say. `annals verify --proof` checks it.

    $ annals prove rewards 0198c5de-7c1e-7d41-a7f1-6d1a2f0f3c11 --output claim.json
    $ annals prove rewards 0198c5de-7c1e-7d41-a7f1-6d1a2f0f3c11 --upto 40 | annals verify --proof -
    """
    shell.use(stack)
    proof = shell.run(proofs.prove(service, event_id, upto))
    if output is None:
        print(proof.to_json())
        return
    output.write_text(proof.to_json() + "\n")
    last = proof.seals[-1]
    console.say(f"{output}: event {event_id}, proven by seal {last.number}, {last.hash.hex()}")


def verify_statement(
    file: Annotated[
        typer.FileBinaryRead, typer.Argument(metavar="FILE", help="As GET /statements/… gave it; - for a pipe.")
    ],
    root: Annotated[
        str | None, typer.Option("--root", metavar="HASH", help="Of the period, from royalties.events or /periods/….")
    ] = None,
    as_json: Json = False,
) -> None:
    """Check that a statement is the one that was issued, to the last digit.

    Its lines are added up again, and its hash must lead to the root of its period. Nothing is asked of anybody: no
    server, no settings.

    $ annals verify-statement 2026-000017.json --root 9c1d…
    """
    trusted = _trusted(root, "--root")
    try:
        found = statements.verify(cast(BinaryIO, file).read())
        if trusted is not None and found.root != trusted.hex():
            raise statements.InvalidStatement(f"root: expected {trusted.hex()}, got {found.root}")
    except statements.InvalidStatement as error:
        shell.say(f"not as it was issued: {error}", as_json, ok=False, problem=str(error))
        shell.end(good=False)
    sentence = (
        f"statement {found.number} of {found.party} for {found.period}: {found.lines:,} lines lead from "
        f"{found.opening_balance} to {found.closing_balance} {found.asset}, as it was issued"
    )
    if trusted is None:
        sentence += f" under the root {found.root}: compare it with the published one, or give --root"
    shell.say(sentence, as_json, ok=True, trusted=trusted is not None, **found.to_dict())
    shell.end(good=True)


def _check_archive(file: Path, trusted: bytes | None, as_json: bool) -> NoReturn:
    """Says whether a file is what was sealed."""
    try:
        found = verify_archive(file)
        if trusted is not None and found.last_hash != trusted:
            raise BrokenSeal(f"last seal: expected {trusted.hex()}, got {found.last_hash.hex()}")
    except (BrokenSeal, EOFError, gzip.BadGzipFile) as error:
        shell.say(f"not what was sealed: {error}", as_json, ok=False, problem=str(error))
        shell.end(good=False)
    sentence = f"{file}: {found.events:,} events under {found.seals:,} seals, as they were sealed"
    if trusted is None:
        sentence += f", if {found.last_hash.hex()} is the hash of seal {found.seals}: compare it, or give --seal"
    shell.say(sentence, as_json, ok=True, trusted=trusted is not None, **asdict(found))
    shell.end(good=True)


def _certify(file: Path, as_json: bool) -> NoReturn:
    """Says whether the log still has what was certified."""
    outcome = shell.run(certificates.check(file.read_text()))
    sentence = outcome.problem or f"{file}: the log has what was certified; {told(outcome.certificate)}"
    shell.say(sentence, as_json, ok=outcome.ok, problem=outcome.problem)
    shell.end(good=outcome.ok)


def _trusted(given: str | None, option: str) -> bytes | None:
    try:
        return bytes.fromhex(given) if given is not None else None
    except ValueError:
        raise typer.BadParameter(f"{option}: expected a hash in hexadecimal, got {given!r}") from None


def _check(text: bytes, trusted: bytes | None, as_json: bool) -> NoReturn:
    """Says whether a proof is one, and of what."""
    report: dict[str, Any]
    try:
        found = verify_proof(text, trusted)
    except InvalidProof as error:
        report = {"ok": False, "problem": str(error)}
        sentence = f"no proof: {error}"
    else:
        event, last = found.event, found.seals[-1]
        report = {"ok": True, "event_id": event.event_id, "position": event.position, "trusted": trusted is not None}
        report |= {"seal": last.number, "hash": last.hash}
        sentence = f"event {event.event_id}, position {event.position:,}, is in the log under seal {last.number}"
        if trusted is None:
            sentence += f", if that has the hash {last.hash.hex()}: compare it with a published one, or give --seal"
    if as_json:
        shell.print_json(report)
    else:
        console.say(sentence)
    shell.end(good=report["ok"])
