"""`annals verify` and `annals prove`, over a log in a real PostgreSQL and its seals on a real Kafka."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
from click.testing import Result
from pydantic_settings import SettingsConfigDict
from typer.testing import CliRunner

from annals import services
from annals.cli import app
from annals.services import Installed
from eventlog import EventLog, Sealer, Watermark, install_sql
from eventlog.seals import read_seals
from eventlog.testing import EXAMPLE_TYPES, credited
from messaging import ensure, stored
from messaging.producer import TransactionalProducer
from messaging.seals import SealPublisher
from messaging.testing import readable
from messaging.topics import log_topic, seals_topic
from service import ServiceSettings


class ShopSettings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="SHOP_")


class Shop(Installed):
    """A service of which nothing but its log is of interest here."""

    def settings(self) -> ServiceSettings:
        return ShopSettings()


@dataclass(frozen=True)
class Log:
    """The log of a service of its own for each test; everything about it is done as superuser."""

    service: str
    url: str

    def do(self, work: Callable[[asyncpg.Pool], Awaitable[object]]) -> object:
        async def inside() -> object:
            async with asyncpg.create_pool(self.url, min_size=1, max_size=4) as pool:
                return await work(pool)

        return asyncio.run(inside())

    def forge(self, statement: str) -> None:
        self.do(lambda pool: pool.execute(f"SET session_replication_role = replica; {statement}"))

    def event_id(self, position: int) -> str:
        return str(self.do(lambda pool: pool.fetchval("SELECT event_id FROM events WHERE position = $1", position)))


@pytest.fixture
def log(database: str, kafka: str, monkeypatch: pytest.MonkeyPatch) -> Log:
    """Forty events under five seals, all of them published."""
    name = f"shop-{uuid4().hex[:16]}"  # databases are used again, topics are not
    monkeypatch.setattr(services, "installed", lambda: {name: Shop(name, "shop")})
    monkeypatch.setenv("SHOP_DATABASE_URL", database)
    monkeypatch.setenv("ANNALS_KAFKA_BOOTSTRAP", kafka)
    made = Log(name, database)

    async def fill(pool: asyncpg.Pool) -> None:
        await pool.execute(install_sql())
        log = EventLog(pool, EXAMPLE_TYPES)
        await log.append([credited(f"a/{number % 3}", number) for number in range(40)])
        await seal(pool)
        await ensure(kafka, [seals_topic(name), log_topic(name)])
        producer = TransactionalProducer(kafka, f"{name}.relay")
        await producer.start()
        records = producer.records()
        for event in await log.read(0, 40):
            await records.add(f"{name}.log", *stored.encode(event, await log.identity()))
        await producer.send(records)
        await SealPublisher(kafka, pool, name).publish(producer, upto=40)
        await producer.stop()
        await readable(kafka, f"{name}.relay")

    made.do(fill)
    return made


async def seal(pool: asyncpg.Pool) -> None:
    await Sealer(pool, Watermark(pool), positions=8).seal(40)


def annals(*arguments: str, given: str | None = None) -> Result:
    return CliRunner().invoke(app, list(arguments), input=given)


def test_an_honest_log_is_verified_against_its_topic(log: Log) -> None:
    verified = annals("verify")
    assert verified.stdout == (
        f"{log.service}: 40 events, 40 of them under 5 seals, 5 of them published: nothing is wrong\n"
    )
    assert verified.exit_code == 0
    [report] = json.loads(annals("verify", log.service, "--json").stdout)
    assert (report["ok"], report["published"], report["sealed_to"], report["problems"]) == (True, 5, 40, [])


def test_what_is_wrong_is_said_with_exit_code_1(log: Log) -> None:
    log.forge("DELETE FROM events WHERE position = 20")
    verified = annals("verify", log.service, "--no-topic")
    assert verified.exit_code == 1
    assert verified.stdout.splitlines() == [
        f"{log.service}: 39 events, 39 of them under 5 seals, not compared with Kafka: 2 problems",
        "  seal 3, positions 17 to 24: expected 8 events, found 7: events were removed",
        "  position 23: stream a/1: expected version 7, found 8",
    ]
    [report] = json.loads(annals("verify", "--json").stdout)
    assert [(problem["seal"], problem["position"]) for problem in report["problems"]] == [
        (3, None),
        (None, 23),
        (None, 20),
    ]


def test_what_was_forged_is_said_by_the_copy_of_the_log_on_kafka(log: Log) -> None:
    log.forge("UPDATE events SET data = '{\"amount\": 1000000}' WHERE position = 20")
    found = annals("verify").stdout.splitlines()
    assert found[1].startswith("  seal 3, positions 17 to 24: expected root ")
    assert found[2:] == ['  position 20: data: expected {"amount":19,"note":""}, as sealed, found {"amount": 1000000}']


def test_a_log_that_was_sealed_anew_is_found_out_by_its_topic_only(log: Log) -> None:
    log.forge("UPDATE events SET data = '{\"amount\": 1000000}' WHERE position = 39; DELETE FROM seals")
    log.do(seal)
    assert annals("verify", "--no-topic").exit_code == 0
    verified = annals("verify")
    assert verified.exit_code == 1
    assert "seal 5: expected hash " in verified.stdout
    assert verified.stdout.rstrip().endswith(": the log was sealed anew")


def test_a_proof_is_verified_offline_from_its_text_alone(log: Log, tmp_path: Path) -> None:
    printed = annals("prove", log.service, log.event_id(12))
    assert printed.exit_code == 0
    file = tmp_path / "proof.json"
    written = annals("prove", log.service, log.event_id(12), "--upto", "4", "--output", str(file))
    trusted = log.do(lambda pool: read_seals(pool))[3].hash.hex()  # type: ignore[index]
    assert f"proven by seal 4, {trusted}" in " ".join(written.stdout.split())
    bare = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}  # no settings, no running stack
    command = [sys.executable, "-m", "annals", "verify", "--proof", str(file), "--seal", trusted]
    checked = subprocess.run(command, capture_output=True, text=True, timeout=600, env=bare, cwd=tmp_path)
    assert (checked.stdout, checked.returncode) == (
        f"event {log.event_id(12)}, position 12, is in the log under seal 4\n",
        0,
    ), checked.stderr
    unvouched = annals("verify", "--proof", "-", given=printed.stdout)
    assert unvouched.exit_code == 0
    assert "under seal 2, if that has the hash " in unvouched.stdout


def test_a_forged_proof_is_none(log: Log) -> None:
    forged = annals("prove", log.service, log.event_id(12)).stdout.replace("Credited", "Debited")
    checked = annals("verify", "--proof", "-", given=forged)
    assert checked.exit_code == 1
    assert checked.stdout.startswith(f"no proof: event {log.event_id(12)}: expected root ")
    checked = annals("verify", "--proof", "-", "--json", given=forged)
    assert checked.exit_code == 1
    assert json.loads(checked.stdout)["ok"] is False


def test_a_proof_under_a_seal_that_is_not_the_trusted_one_is_none(log: Log) -> None:
    proof = annals("prove", log.service, log.event_id(12)).stdout
    checked = annals("verify", "--proof", "-", "--seal", "ab" * 32, given=proof)
    assert checked.exit_code == 1
    assert "expected one with the trusted hash abab" in checked.stdout


def test_an_event_that_is_not_there_is_named(log: Log) -> None:
    missing = "0198c5de-7c1e-7d41-a7f1-6d1a2f0f3c11"
    proven = annals("prove", log.service, missing)
    assert proven.exit_code == 1
    assert f"event {missing}: not in this log" in proven.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["verify", "--seal", "ab" * 32], "expected --seal with --proof"),
        (["verify", "--proof", "-", "--seal", "xyz"], "expected a hash in hexadecimal, got 'xyz'"),
        (["verify", "rewards", "--proof", "-"], "expected services or --proof, got both"),
        (["prove", "rewards", "no-id"], "UUID"),
    ],
)
def test_wrong_usage_is_explained(arguments: list[str], message: str) -> None:
    ended = annals(*arguments, given="{}")
    assert ended.exit_code == 2
    assert message in " ".join(ended.stderr.replace("│", " ").split())


def test_a_log_is_archived_checked_offline_and_attached_to_one_that_lacks_it(log: Log, tmp_path: Path) -> None:
    file = str(tmp_path / "shop.jsonl.gz")
    archived = json.loads(annals("log", "archive", log.service, "--output", file, "--json").stdout)
    assert (archived["events"], archived["seals"], archived["last_position"]) == (40, 5, 40)

    checked = annals("verify", "--archive", file, "--seal", archived["last_hash"])
    assert (checked.exit_code, checked.stdout) == (0, f"{file}: 40 events under 5 seals, as they were sealed\n")
    of_others = annals("verify", "--archive", file, "--seal", "00" * 32)
    assert (of_others.exit_code, of_others.stdout.startswith("not what was sealed: last seal: expected 00")) == (
        1,
        True,
    )

    assert annals("log", "attach", log.service, file, "--yes").stdout == f"{log.service}: 0 events written\n"
    log.do(lambda pool: pool.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public"))
    log.do(lambda pool: pool.execute(install_sql()))
    assert annals("log", "attach", log.service, file, "--yes").stdout == f"{log.service}: 40 events written\n"
    assert annals("verify").exit_code == 0
