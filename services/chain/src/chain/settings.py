"""Settings of the chain service: CHAIN_… in the environment, else ANNALS_…, else the default."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import SettingsConfigDict

from chain.domain import CONTRACTS, Scope
from service import ServiceSettings
from tron.address import normalise
from tron.errors import InvalidAddress
from tron.providers import Provider


class NodeSettings(BaseModel):
    """One of several nodes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, max_length=50)
    url: str
    solidity_url: str | None = None
    jsonrpc_url: str | None = None
    priority: int = 1
    per_second: float | None = Field(None, gt=0)
    per_day: int | None = Field(None, gt=0)
    api_key_env: str | None = None

    @model_validator(mode="after")
    def _key_is_there(self) -> Self:
        if self.api_key_env is not None and not os.environ.get(self.api_key_env):
            raise ValueError(f"{self.name}: expected the key in the environment variable {self.api_key_env}")
        return self

    def provider(self, shared: dict[str, Any]) -> Provider:
        """The provider of `libs/tron`, with what all nodes share."""
        return Provider(
            self.name,
            self.url,
            self.solidity_url,
            self.jsonrpc_url,
            os.environ[self.api_key_env] if self.api_key_env is not None else None,
            priority=self.priority,
            per_second=self.per_second,
            per_day=self.per_day,
            **shared,
        )


class ChainSettings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="CHAIN_")

    node_url: str = Field("http://127.0.0.1:9090", description="TRON node: the origin that serves /wallet.")
    solidity_url: str | None = Field(
        None, description="The origin that serves /walletsolidity, where it is another (a plain java-tron's port)."
    )
    api_key: SecretStr | None = Field(None, description="Key of a public gateway, sent as TRON-PRO-API-KEY.")
    jsonrpc_url: str | None = Field(
        None, description="The whole address of its JSON-RPC, where it is not /jsonrpc of node_url."
    )
    nodes: str | None = Field(
        None,
        description="Several nodes instead of node_url and its settings: JSON or the path of a file, a list of "
        '{"name", "url"} and, where needed, solidity_url, jsonrpc_url, priority (1 is asked first), per_second and '
        "per_day (requests that may be sent), api_key_env (the environment variable that holds the key).",
    )
    node_timeout_seconds: float = Field(10, gt=0, le=120, description="Longest wait for one answer of the node.")
    prove_blocks: bool = Field(
        True, description="Refuse a block whose transactions do not hash to its id, as when the node leaves some out."
    )
    producers: str = Field(
        "",
        description="Addresses of the keys that may sign blocks, separated by commas: no node can make one up then. "
        "`annals chain producers` tells those of late. Empty: anybody's.",
    )
    contracts: str = Field(
        "{}",
        description='The contracts to watch: JSON {"music-nft": "T..."} or the path of a file with it. Names: '
        + ", ".join(CONTRACTS)
        + ".",
    )
    transactions: Scope = Field(
        "all",
        description="Record `all` transactions, only those that touch a `watched` contract, or only those that "
        "`logged` something there.",
    )
    index: Literal["agreed", "alone", "never"] = Field(
        "agreed",
        description="When blocks without logs need not be read (transactions=logged): where the JSON-RPC of two nodes "
        "tells the same logs, also where one `alone` tells them (audit it), or `never`.",
    )
    confirm: Literal["audit", "majority", "second"] = Field(
        "audit",
        description="Who finds what a node leaves out of receipts, which nothing proves: an `audit` afterwards, or a "
        "`second` provider before anything is recorded: the JSON-RPC of two must tell the same logs as the receipts. "
        "With `majority` more than half of at least three providers must tell the same blocks and logs.",
    )
    start_block: int = Field(0, ge=0, description="First block of an empty log. TRX balances are exact from 0 only.")
    poll_seconds: float = Field(0.5, gt=0, le=60, description="Pause between looks at the node when all is read.")
    batch_events: int = Field(5_000, ge=1, le=20_000, description="Most events of one append; a block is never cut.")
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

    @field_validator("nodes")
    @classmethod
    def _usable(cls, text: str | None) -> str | None:
        if text is not None:
            _nodes(text)
        return text

    @field_validator("contracts")
    @classmethod
    def _readable(cls, text: str) -> str:
        _contracts(text)
        return text

    @field_validator("producers")
    @classmethod
    def _addresses(cls, text: str) -> str:
        _producers(text)
        return text

    @model_validator(mode="after")
    def _signed(self) -> Self:
        if self.producers and not self.prove_blocks:
            raise ValueError("producers: expected prove_blocks, too, or a block need not be what was signed")
        return self

    @model_validator(mode="after")
    def _sending(self) -> Self:
        if not self.prove_blocks and (self.sending_keys or self.keystore or self.signers):
            raise ValueError("prove_blocks: expected true where there are keys, or a node could make us pay twice")
        if (self.keystore is None) != (self.keystore_password is None):
            raise ValueError("keystore and keystore_password: expected both or neither")
        return self

    @model_validator(mode="after")
    def _confirming(self) -> Self:
        if self.confirm == "second" and len(self.providers) < 2:
            raise ValueError("confirm: expected several nodes for a second to confirm what one tells")
        if self.confirm == "majority" and len(self.providers) < 3:
            raise ValueError(f"confirm: expected at least three nodes for a majority, got {len(self.providers)}")
        return self

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        addresses = list(self.watched.values())
        if len(set(addresses)) < len(addresses):
            raise ValueError("contracts: expected a different address for each name")
        return self

    @property
    def providers(self) -> list[Provider]:
        """The nodes to ask."""
        shared: dict[str, Any] = {
            "timeout": self.node_timeout_seconds,
            "most_requests": self.node_requests,
            "prove": self.prove_blocks,
            "producers": _producers(self.producers),
        }
        if self.nodes is not None:
            return [node.provider(shared) for node in _nodes(self.nodes)]
        key = self.api_key.get_secret_value() if self.api_key is not None else None
        return [Provider("node", self.node_url, self.solidity_url, self.jsonrpc_url, key, **shared)]

    @property
    def watched(self) -> dict[str, str]:
        """The contracts to watch, name -> base58check address."""
        return _contracts(self.contracts)


def _nodes(text: str) -> list[NodeSettings]:
    try:
        source = text if text.lstrip().startswith("[") else Path(text).read_text()
        found = TypeAdapter(list[NodeSettings]).validate_json(source)
    except OSError as error:
        raise ValueError(f"nodes: expected JSON or the path of a JSON file: {error}") from None
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise ValueError(f"nodes.{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    if len({node.name for node in found}) != len(found) or not found:
        raise ValueError("nodes: expected at least one, each with a name of its own")
    return found


def _contracts(text: str) -> dict[str, str]:
    try:
        found = json.loads(text if text.lstrip().startswith("{") else Path(text).read_text())
    except (OSError, ValueError) as error:
        raise ValueError(f"contracts: expected JSON or the path of a JSON file: {error}") from None
    if not isinstance(found, dict) or not all(isinstance(address, str) for address in found.values()):
        raise ValueError("contracts: expected an object of names and addresses")
    if unknown := found.keys() - set(CONTRACTS):
        raise ValueError(f"contracts: unknown {', '.join(sorted(unknown))}; expected names of {', '.join(CONTRACTS)}")
    return {name: _address(f"contracts.{name}", found[name]) for name in sorted(found)}


def _producers(text: str) -> frozenset[str]:
    return frozenset(_address("producers", one.strip()) for one in text.split(",") if one.strip())


def _address(of: str, text: str) -> str:
    try:
        return normalise(text)
    except InvalidAddress as error:
        raise ValueError(f"{of}: {error}") from None
