"""Settings of the compliance service: COMPLIANCE_… in the environment, else ANNALS_…, else the default."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from service import ServiceSettings


class ComplianceSettings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="COMPLIANCE_")

    erasing_services: str = Field(
        "chain,compliance,rewards,royalties",
        pattern=r"^[a-z]+(,[a-z]+)*$",
        description="The services that must carry out an erasure before it is certified.",
    )
