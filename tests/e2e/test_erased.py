"""A person with data everywhere is erased, and no byte of it is found anywhere; another's data is untouched."""

from __future__ import annotations

import json
import sys
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4
from zipfile import ZipFile

import asyncpg
import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from annals.demo.theatre import Theatre
from compliance.domain import EVENTS
from compliance.projections import Contacts
from contracts.activity import ReportListen
from eventlog import EventLog, EventTypes, verify
from local_stack import postgres
from local_stack.paths import local
from local_stack.postgres import PostgresServer
from local_stack.process import own_directory, run_program, unprivileged_account
from messaging.testing import eventually, headers, send_raw
from privacy import DEVELOPMENT, Keks, KeyStore, Sealed, Vault
from projections.testing import rebuilt_alike

sys.path.append(str(Path(__file__).parent))  # for what the tests here share

from byte_search import ByteSearch, Found, connected, databases, flush

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.endurance]

ADA = {"name": "Augusta Ada Byron-Lovelace", "email": "ada.lovelace@analytical.example", "country": "GB"}
BOB = {"name": "Robert Allen Zimmermann", "email": "bob.zimmermann@hibbing.example", "country": "US"}
HERS = ByteSearch({name: ADA[name] for name in ("name", "email")})
HER_FACTS, HIS_FACTS = (431_577, "ada-is-held-for-review"), (867_539, "bob-is-held-for-review")
SERVICES = ["chain", "compliance", "rewards", "royalties"]
COMMANDS = "rewards.commands"
ERASED_SECONDS = 600.0
TYPES = EventTypes(EVENTS)


@pytest.fixture(scope="module", autouse=True)
def _keys_are_soon_forgotten() -> Iterator[None]:
    """For the processes of the town: an erasure is complete when none remembers a key any more."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("ANNALS_KEYS_REMEMBERED_SECONDS", "1")
        yield


async def test_a_person_with_data_everywhere_is_erased_and_no_byte_is_found_anywhere(theatre: Theatre) -> None:
    folder, server = local() / theatre.directory.name, theatre.directory.environment["ANNALS_POSTGRES_URL"]
    async with theatre.client("compliance", "admin", "service") as api:
        await gives(api, "ada", ADA)
        await gives(api, "bob", BOB)
        await is_known_to_others(theatre)
        await gets_a_copy(api, "ada")
        await sends_what_nobody_can_take_in(theatre, "ada")
        async with restored_backup(server, folder / "backup") as old:
            certificate = await erased(api, "ada")
            assert sorted({one["service"] for one in certificate["erased"]}) == SERVICES
            assert (await api.get("/subjects/ada/contact")).status_code == 404
            assert (await api.get("/subjects/bob/contact")).json()["email"] == BOB["email"]

            await flush(server)
            found = [one async for one in everywhere(folder, server, old.url())]
            # What others write into a command topic in clear is theirs, and there until its retention is over.
            assert {Path(one.place).parent.name.rpartition("-")[0] for one in found} == {COMMANDS}, found

            sealed = await sealed_contact(old, "ada")
            assert await opened(sealed, server) is None, "a log of before is worth nothing with the keys of now"
            with_old_keys = await opened(sealed, old.url())
            assert with_old_keys is not None
            assert json.loads(with_old_keys)["name"] == ADA["name"], "hence keys have backups of their own, of 30 days"
    await rebuilt_alike(EventLog(theatre.databases["compliance"], TYPES), [Contacts()])
    for name, pool in theatre.databases.items():
        async with pool.acquire() as connection:
            assert (await verify(connection)).ok, name


async def gives(api: httpx.AsyncClient, subject: str, contact: Mapping[str, str]) -> None:
    path = f"/subjects/{subject}/contact"
    given = await api.put(path, json=contact, headers={"idempotency-key": str(uuid4())})
    shown = await api.get(path, headers={"annals-after": given.json()["token"]})
    assert {name: shown.json()[name] for name in contact} == contact


async def is_known_to_others(theatre: Theatre) -> None:
    """Both to rewards and to royalties, by values that are nobody else's."""
    async with theatre.client("rewards") as rewards, theatre.client("royalties") as royalties:
        for subject, karma, reason in (("ada", *HER_FACTS), ("bob", *HIS_FACTS)):
            standing = {"user": subject, "signed_up_at": "2026-01-01T00:00:00Z", "karma": karma, "followers": 1}
            for api, path, body in ((rewards, "/standings", standing), (royalties, f"/holds/{subject}", reason)):
                known = body if isinstance(body, dict) else {"reason": "investigation", "reference": body}
                answer = await api.post(path, json=known, headers={"idempotency-key": str(uuid4())})
                assert answer.status_code == 200, answer.text


async def gets_a_copy(api: httpx.AsyncClient, subject: str) -> None:
    """Its archive has what every service holds of it, and nothing of the other."""
    key = X25519PrivateKey.generate()
    public, private = (
        b64encode(raw).decode() for raw in (key.public_key().public_bytes_raw(), key.private_bytes_raw())
    )
    asked = {"request_id": str(uuid4()), "subject": subject, "law": "gdpr", "public_key": public}
    path = await started(api, "/access-requests", asked)

    async def ready() -> bool:
        shown = await api.get(path)  # not there before the projection has come to it
        return shown.status_code == 200 and shown.json()["state"] == "completed"

    await eventually(ready, ERASED_SECONDS)
    answer = await api.post(f"{path}/archive", json={"private_key": private}, headers={"idempotency-key": "archive"})
    assert answer.status_code == 200, answer.text
    with ZipFile(BytesIO(answer.content)) as archive:
        contents = {name: archive.read(name).decode() for name in archive.namelist()}
    assert {name.partition("/")[0] for name in contents if "/" in name} == set(SERVICES)
    everything = "".join(contents.values())
    assert all(str(value) in everything for value in (*ADA.values(), *HER_FACTS))
    assert [value for value in (BOB["name"], BOB["email"], *map(str, HIS_FACTS)) if value in everything] == []


async def sends_what_nobody_can_take_in(theatre: Theatre, subject: str) -> None:
    """A malformed message that tells of a person in clear, as a foreign program might send; waits until it is aside."""
    named = headers(ce_type=ReportListen.type.encode())
    bootstrap = theatre.directory.environment["ANNALS_KAFKA_BOOTSTRAP"]
    await send_raw(bootstrap, COMMANDS, subject.encode(), json.dumps(ADA).encode(), named)
    aside = "SELECT EXISTS (SELECT FROM parked WHERE key = $1)"
    await eventually(lambda: theatre.databases["rewards"].fetchval(aside, subject.encode()))


async def started(api: httpx.AsyncClient, kind: str, body: dict[str, str]) -> str:
    """Has a request received, verified and started; returns its path."""
    path = f"{kind}/{body['request_id']}"
    identity = {"verified": True, "method": "document"}
    for step, given in ((kind, body), (f"{path}/verify", identity), (f"{path}/start", None)):
        answer = await api.post(step, json=given, headers={"idempotency-key": str(uuid4())})
        assert answer.status_code == 200, answer.text
    return path


async def erased(api: httpx.AsyncClient, subject: str) -> dict[str, Any]:
    """Has a person erased by all services; returns the certificate."""
    path = await started(api, "/deletion-requests", {"request_id": str(uuid4()), "subject": subject, "law": "gdpr"})

    async def certified() -> bool:
        return (await api.get(f"{path}/certificate")).status_code == 200

    await eventually(certified, ERASED_SECONDS)
    certificate: dict[str, Any] = (await api.get(f"{path}/certificate")).json()
    return certificate


@asynccontextmanager
async def restored_backup(server: str, folder: Path) -> AsyncIterator[PostgresServer]:
    """A base backup of a server as it is now, with a server of its own."""
    account = unprivileged_account()
    data = own_directory(folder / "postgres", account) / "data"
    program = await postgres.find_binaries(account) / "pg_basebackup"
    options = (f"--dbname={server}", f"--pgdata={data}", "--wal-method=fetch", "--checkpoint=fast")
    await run_program([program, *options], timeout_seconds=600, account=account)
    process, old = await postgres.start(folder, password=str(urlsplit(server).password), durable=False)
    try:
        yield old
    finally:
        await process.stop()


async def everywhere(folder: Path, *servers: str) -> AsyncIterator[Found]:
    """What is found of her in the files of all servers and services, on Kafka, and in the rows of all databases."""
    for found in (*HERS.files(folder), *HERS.segments(folder / "kafka")):
        yield found
    for server in servers:
        for database in await databases(server):
            async for found in HERS.rows(database):
                yield found


async def sealed_contact(server: PostgresServer, subject: str) -> Sealed:
    async with connected(server.url("compliance")) as connection:
        query = "SELECT data FROM events WHERE type = 'ContactGiven' AND stream = $1"
        given = TYPES.decode("ContactGiven", 1, await connection.fetchval(query, f"contact/{subject}"))
    details: Sealed = given.details
    return details


async def opened(sealed: Sealed, server: str) -> str | None:
    """A value in clear, with the keys that compliance has on a server."""
    keys = f"{server.rpartition('/')[0]}/compliance_keys"
    async with asyncpg.create_pool(keys, min_size=0, max_size=1) as pool:
        [clear] = await Vault(KeyStore(pool, Keks.parse(DEVELOPMENT))).open([sealed])
    return None if clear is None else clear.get_secret_value()
