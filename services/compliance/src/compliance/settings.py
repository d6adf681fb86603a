"""Settings of the compliance service: COMPLIANCE_… in the environment, else ANNALS_…, else the default."""

from __future__ import annotations

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from service import ServiceSettings


class ComplianceSettings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="COMPLIANCE_")

    erasing_services: str = Field(
        "chain,compliance,rewards,royalties",
        pattern=r"^[a-z]+(,[a-z]+)*$",
        description="The services that must carry out an erasure before it is certified.",
    )
    silent_seconds: float = Field(
        3_600,
        gt=0,
        description="A service that has not answered an order to erase for so long is reported as silent.",
    )
    anchor_seconds: float | None = Field(
        None,
        gt=0,
        description="Pause between two anchorings of a log on the chain, by the chain service's key `compliance`, "
        "which needs ANCHOR_ROLE of ComplianceRegistry. Empty: nothing is anchored.",
    )
    anchored_logs: str = Field(
        "chain,compliance,rewards,royalties", description="The services whose logs are anchored, separated by commas."
    )

    site: str = Field(
        "localhost",
        pattern=r"^[!-~]{1,200}$",
        description="Domain that the texts name with which wallets are proven: where users see that they are asked.",
    )
    kyc_secret: SecretStr | None = Field(
        None,
        min_length=32,
        description="Secret with which the provider of screenings signs its reports; without it all are refused.",
    )

    @property
    def erasing(self) -> tuple[str, ...]:
        """The services that carry out erasures."""
        return tuple(self.erasing_services.split(","))

    @property
    def logs(self) -> list[str]:
        """The services whose logs are anchored."""
        return [name.strip() for name in self.anchored_logs.split(",") if name.strip()]
