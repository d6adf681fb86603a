"""How a person is reached, in a box and opened: in clear it is between a caller and the vault only."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, SecretStr

from compliance import domain
from privacy import Personal, Sealed, Vault

FIELD = "contact"


class ContactDetails(BaseModel):
    """Name, address for e-mail and country in clear, for the subject itself and for officers."""

    model_config = ConfigDict(extra="forbid")

    name: str
    email: str
    country: str


async def opened(sealed: Sealed, vault: Vault) -> ContactDetails | None:
    """The details in clear; None once their subject is erased."""
    [clear] = await vault.open([sealed])
    return None if clear is None else ContactDetails.model_validate_json(clear.get_secret_value())


async def given(subject: str, details: ContactDetails, vault: Vault) -> domain.ContactGiven:
    """The fact that a subject is reached so, the details sealed. Raises ErasedSubject."""
    [sealed] = await vault.seal([Personal(subject, FIELD, SecretStr(details.model_dump_json()))])
    return domain.ContactGiven(subject, sealed)
