"""Settings of the royalties service: ROYALTIES_… in the environment, else ANNALS_…, else the default."""

from __future__ import annotations

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from contracts.values import Address
from service import ServiceSettings


class RoyaltiesSettings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="ROYALTIES_")

    node_url: str | None = Field(
        None,
        description="TRON node whose contracts the books are held against, and payments of distributions: the origin "
        "that serves /walletsolidity. Empty: nobody does that but `annals royalties reconcile`.",
    )
    api_key: SecretStr | None = Field(None, description="Key of a public gateway, sent as TRON-PRO-API-KEY.")
    reconcile_seconds: float = Field(3600, gt=0, description="Pause between two comparisons with the contracts.")
    dcmx_token: Address | None = Field(None, description="Address of DCMXToken, to distribute DCMX.")
    distributions_look_seconds: float = Field(
        10, gt=0, le=3600, description="Pause between looks for the holders that a distribution waits for."
    )
    anchor_statements: bool = Field(
        False,
        description="Whether roots of closed periods are written into ComplianceRegistry, by the chain service's key "
        "`royalties`, which needs ANCHOR_ROLE.",
    )
    close_after_days: int | None = Field(
        3,
        ge=0,
        le=3650,
        description="Days after a month's end on which its books are closed and its statements issued; facts that come "
        "later make corrected ones. Empty: only when an officer asks.",
    )
