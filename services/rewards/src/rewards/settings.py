"""Settings of the rewards service: REWARDS_… in the environment, else ANNALS_…, else the default."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from contracts.values import Address
from service import ServiceSettings


class RewardsSettings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="REWARDS_")

    origin_key: SecretStr = Field(
        SecretStr(""),
        description="Secret with which addresses and devices are hashed before they are kept. Empty: they are not kept "
        "at all, and limits per address and device do not hold.",
    )

    verifier_key: SecretStr | None = Field(
        None, description="Private key (64 hex digits) of RewardVault's verifier, which authorises claims."
    )
    verifier_keystore: Path | None = Field(
        None, description="The verifier's key as an encrypted file (Web3 Secret Storage, version 3), instead."
    )
    verifier_keystore_password: SecretStr | None = Field(None, description="Password of that file.")
    vault: Address | None = Field(None, description="Address of RewardVault.")
    chain_id: int | None = Field(
        None, ge=1, description="The chain's id as its virtual machine says: signatures are good there only."
    )
    prover: Path | None = Field(
        None, description="The program annals-prover, which commits to listening periods; without it nobody can here."
    )
    claims_look_seconds: float = Field(
        10, gt=0, le=3600, description="Pause between looks for claims whose time is over."
    )

    @model_validator(mode="after")
    def _keyed(self) -> Self:
        if self.environment == "production" and len(self.origin_key.get_secret_value()) < 32:
            raise ValueError("origin_key: expected at least 32 characters in production")
        return self
