"""Settings of the compliance service: COMPLIANCE_… in the environment, else ANNALS_…, else the default."""

from __future__ import annotations

from pathlib import Path

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
    peers: str = Field(
        "",
        pattern=r"^([a-z]+=https?://[^,\s]+(,[a-z]+=https?://[^,\s]+)*)?$",
        description="Addresses of the services of erasing_services, without this one: chain=https://chain:8000,"
        "rewards=… Copies for archives are fetched there; no request for access can be started while one is missing.",
    )
    peers_token: SecretStr | None = Field(
        None,
        description="Bearer token with the role `service` for the peers, or file:PATH of one, which is read each time.",
    )
    archive_days: int = Field(14, ge=1, le=90, description="For how long a subject's archive can be fetched.")
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
    kyc_secret_before: SecretStr | None = Field(
        None, min_length=32, description="The secret before: good, too, until the provider signs with the new one."
    )

    @property
    def erasing(self) -> tuple[str, ...]:
        """The services that carry out erasures."""
        return tuple(self.erasing_services.split(","))

    @property
    def logs(self) -> list[str]:
        """The services whose logs are anchored."""
        return [name.strip() for name in self.anchored_logs.split(",") if name.strip()]

    @property
    def addresses(self) -> dict[str, str]:
        """The base URLs of peers."""
        pairs = (pair.split("=", 1) for pair in self.peers.split(",") if pair)
        return {name: url.rstrip("/") for name, url in pairs}

    @property
    def exporting(self) -> tuple[str, ...] | None:
        """The services that make copies: all that hold personal data. None while the address of one is missing."""
        return self.erasing if {*self.erasing} <= {*self.addresses, self.name} else None

    def token_for_peers(self) -> str:
        """Raises OSError if the file can't be read."""
        token = self.peers_token.get_secret_value() if self.peers_token is not None else ""
        return Path(token.removeprefix("file:")).read_text().strip() if token.startswith("file:") else token
