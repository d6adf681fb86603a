"""Has subjects found by their address for e-mail: the keyed hash of it follows the log, as a read model does.

It is beside the keys and not in a read model, for a table that anybody can rebuild needs a hash in the log, where
nothing could ever destroy it.
"""

from __future__ import annotations

from pydantic import SecretStr

from compliance import domain
from compliance.details import opened
from eventlog import EventLog, Watermark
from privacy import Orders, Tokens
from service import PersonalData

BATCH = 500
WAIT_SECONDS = 5.0  # one wait for a contact


class Finder:
    """Keeps the token of each contact; a worker. Any number of instances may run.

    Tokens are kept before the position moves: a crash repeats what changes nothing.
    """

    name = "finding"

    def __init__(self, log: EventLog, watermark: Watermark, personal: PersonalData, emails: Tokens) -> None:
        self._contacts = Orders(self.name, log, watermark, personal.keys, [domain.ContactGiven], BATCH)
        self._vault = personal.vault
        self._tokens = emails

    async def run(self) -> None:
        """Runs until cancelled. Raises VaultLocked until the erasures of the log are carried out."""
        await self._contacts.begin()
        while True:
            for recorded in await self._contacts.next(WAIT_SECONDS):
                details = await opened(recorded.event.details, self._vault)
                if details is not None:
                    await self._tokens.keep(recorded.event.subject, SecretStr(details.email))
            await self._contacts.carried_out(self._contacts.read)
