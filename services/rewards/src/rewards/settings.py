"""Settings of the rewards service: REWARDS_… in the environment, else ANNALS_…, else the default."""

from __future__ import annotations

from typing import Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from service import ServiceSettings


class RewardsSettings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="REWARDS_")

    origin_key: SecretStr = Field(
        SecretStr(""),
        description="Secret with which addresses and devices are hashed before they are kept. Empty: they are not kept "
        "at all, and limits per address and device do not hold.",
    )

    @model_validator(mode="after")
    def _keyed(self) -> Self:
        if self.environment == "production" and len(self.origin_key.get_secret_value()) < 32:
            raise ValueError("origin_key: expected at least 32 characters in production")
        return self
