"""The program `annals-prover`, as a library: it commits and proves. MiMC in Python would take a minute for a period.

Every call is a process: it holds no state, ends with its work, and a listener's own machine runs the same program.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zk.claims import CIRCUIT, Claim, Commitment, Proof, Reason, Record, Refused, Secret, word


class ProverFailed(Exception):
    """The program is missing or broken, or took too long; the message is what it said."""


@dataclass(frozen=True, slots=True)
class Prover:
    """Runs the program at `path`. Each method blocks (see the README for how long) and may be called in threads.

    All raise `Refused` for what cannot be committed to or proven, and `ProverFailed`.
    """

    path: Path
    timeout_seconds: float = 120

    def secret(self) -> Secret:
        """Return a fresh secret and its member, as a listener's client makes it."""
        made = self._run(None, "secret")
        return Secret(int(made["secret"], 16), int(made["member"], 16))

    def commit(self, scope: int, records: Iterable[Record]) -> Commitment:
        """Commit to a period's records, at most 1,048,576 of them, each of another member."""
        listed = [{"member": word(record.member), "seconds": record.seconds} for record in records]
        return Commitment.from_dict(self._run({"scope": word(scope), "records": listed}, "commit"))

    def witness(self, commitment: Commitment, claim: Claim) -> dict[str, Any]:
        """Return what a proof of a claim is made of. It holds the listener's secret."""
        with tempfile.NamedTemporaryFile("w", suffix=".json") as tree:
            json.dump(commitment.to_dict(), tree)
            tree.flush()
            return self._run(claim.to_dict(), "witness", "--tree", tree.name)

    def prove(self, witness: Mapping[str, Any]) -> Proof:
        """Return the proof of a witness."""
        return Proof.from_dict(self._run(witness, "prove"))

    def manifest(self) -> dict[str, Any]:
        """Return what the program says of its circuit and keys. Raises `ProverFailed` for another circuit's."""
        told = self._run(None, "info")
        if told.get("circuit") != CIRCUIT:
            raise ProverFailed(f"{self.path}: expected circuit {CIRCUIT}, found {told.get('circuit')}")
        return told

    def _run(self, given: Mapping[str, Any] | None, *words: str) -> dict[str, Any]:
        text = "" if given is None else json.dumps(given)
        try:
            done = subprocess.run(  # noqa: S603  # no shell; the words are ours
                [self.path, *words],
                input=text,
                capture_output=True,
                text=True,
                timeout=self.timeout_seconds,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ProverFailed(f"{self.path} {words[0]}: {error}") from error
        if done.returncode == 0:
            told: dict[str, Any] = json.loads(done.stdout)
            return told
        with suppress(ValueError, TypeError, KeyError):  # what it says is no refusal that we know: it failed
            refusal = json.loads(done.stderr)
            raise Refused(Reason(refusal["error"]), refusal["detail"])
        raise ProverFailed(f"{self.path} {words[0]}: status {done.returncode}: {done.stderr[-1000:]}")
