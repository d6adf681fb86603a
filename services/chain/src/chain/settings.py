"""Settings of the chain service: CHAIN_… in the environment, else ANNALS_…, else the default."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from chain.domain import CONTRACTS, Scope
from service import ServiceSettings
from tron.address import normalise


class ChainSettings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="CHAIN_")

    node_url: str = Field("http://127.0.0.1:9090", description="TRON node: the origin that serves /wallet.")
    solidity_url: str | None = Field(
        None, description="The origin that serves /walletsolidity, where it is another (a plain java-tron's port)."
    )
    api_key: SecretStr | None = Field(None, description="Key of a public gateway, sent as TRON-PRO-API-KEY.")
    node_timeout_seconds: float = Field(10, gt=0, le=120, description="Longest wait for one answer of the node.")
    prove_blocks: bool = Field(
        True, description="Refuse a block whose transactions do not hash to its id, as when the node leaves some out."
    )
    contracts: str = Field(
        "{}",
        description='The contracts to watch: JSON {"music-nft": "T..."} or the path of a file with it. Names: '
        + ", ".join(CONTRACTS)
        + ".",
    )
    transactions: Scope = Field(
        "all", description="Record `all` transactions, or only those that touch a `watched` contract."
    )
    start_block: int = Field(0, ge=0, description="First block of an empty log. TRX balances are exact from 0 only.")
    poll_seconds: float = Field(0.5, gt=0, le=60, description="Pause between looks at the node when all is read.")
    batch_events: int = Field(2_000, ge=1, le=20_000, description="Events of one append, about; a block is never cut.")
    node_requests: int = Field(16, ge=1, le=256, description="Most requests to the node at once; it starts with 4.")

    sending_keys: SecretStr | None = Field(
        None, description='Private keys to send with, by the name of the sender: JSON {"treasury": "<64 hex digits>"}.'
    )
    keystore: Path | None = Field(
        None, description="Folder of encrypted key files (Web3 Secret Storage, version 3), one <sender>.json each."
    )
    keystore_password: SecretStr | None = Field(None, description="Password of all files in the keystore.")
    signers: str = Field(
        "", description="package.module:function that returns signers by name, for keys that a KMS keeps."
    )
    expiry_seconds: float = Field(60, ge=1, le=86_400, description="How long a transaction that is sent stays valid.")
    fee_limit_sun: int = Field(
        1_000_000_000, ge=0, le=15_000_000_000, description="The most that a transaction may burn for energy."
    )
    attempts: int = Field(5, ge=1, le=100, description="Most signatures for one operation.")
    in_flight: int = Field(500, ge=1, le=10_000, description="Most transactions sent and not settled at once.")
    low_balance_sun: int = Field(
        100_000_000, ge=0, description="A sending key with less makes /ready answer 503, with its name."
    )

    @field_validator("contracts")
    @classmethod
    def _readable(cls, text: str) -> str:
        _contracts(text)
        return text

    @model_validator(mode="after")
    def _sending(self) -> Self:
        if not self.prove_blocks and (self.sending_keys or self.keystore or self.signers):
            raise ValueError("prove_blocks: expected true where there are keys, or a node could make us pay twice")
        if (self.keystore is None) != (self.keystore_password is None):
            raise ValueError("keystore and keystore_password: expected both or neither")
        return self

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        addresses = list(self.watched.values())
        if len(set(addresses)) < len(addresses):
            raise ValueError("contracts: expected a different address for each name")
        return self

    @property
    def watched(self) -> dict[str, str]:
        """The contracts to watch, name -> base58check address."""
        return _contracts(self.contracts)


def _contracts(text: str) -> dict[str, str]:
    try:
        found = json.loads(text if text.lstrip().startswith("{") else Path(text).read_text())
    except (OSError, ValueError) as error:
        raise ValueError(f"contracts: expected JSON or the path of a JSON file: {error}") from None
    if not isinstance(found, dict) or not all(isinstance(address, str) for address in found.values()):
        raise ValueError("contracts: expected an object of names and addresses")
    if unknown := found.keys() - set(CONTRACTS):
        raise ValueError(f"contracts: unknown {', '.join(sorted(unknown))}; expected names of {', '.join(CONTRACTS)}")
    return {name: normalise(found[name]) for name in sorted(found)}
