"""Settings of the backups of one PostgreSQL server, all from environment variables."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from privacy import DEVELOPMENT, KekError, Keks
from service.settings import WrongSetting


class BackupSettings(BaseSettings):
    """ANNALS_BACKUP_…; each server that is backed up has a process and an environment of its own."""

    model_config = SettingsConfigDict(
        env_prefix="ANNALS_BACKUP_", env_ignore_empty=True, frozen=True, populate_by_name=True
    )

    url: SecretStr = Field(
        SecretStr("postgresql:///postgres"),
        validation_alias=AliasChoices("ANNALS_BACKUP_URL", "ANNALS_POSTGRES_URL"),
        description="The PostgreSQL server (not one database), as a role with REPLICATION, pg_monitor and "
        "pg_read_all_data: postgresql://role:password@host:port/postgres.",
    )
    store: Path = Field(Path(".local/backups"), description="Folder of the backups; key stores have one of their own.")
    spool: Path = Field(
        Path(".local/backup-spool"),
        description="Private folder on a disk that stays, where the last segments wait, in clear, to be encrypted.",
    )
    keks: SecretStr | None = Field(
        None,
        description="Key-encryption keys of the backups, as those of a service; kept where no backup is. Without, in a "
        "local environment, one that everybody knows.",
    )
    base_hours: float = Field(24, gt=0, description="Hours from one base backup to the next.")
    wal_seconds: float = Field(5, gt=0, description="Longest time that a committed change is in no backup.")
    keep_days: float = Field(30, gt=0, description="Days that backups are kept; at most 30 where key stores are.")
    metrics_port: int = Field(0, ge=0, le=65535, description="Port of /metrics; 0: none.")

    environment: Literal["local", "production"] = Field(
        "local",
        validation_alias=AliasChoices("ANNALS_BACKUP_ENVIRONMENT", "ANNALS_ENVIRONMENT"),
        description="`production` refuses to encrypt with a key that everybody knows.",
    )

    def open_keks(self) -> Keks:
        """The key-encryption keys. Raises WrongSetting, which never holds one."""
        text = self.keks.get_secret_value() if self.keks is not None else DEVELOPMENT
        if self.environment == "production" and DEVELOPMENT in text:
            raise WrongSetting("ANNALS_BACKUP_KEKS: expected keys of your own in production")
        try:
            return Keks.parse(text)
        except KekError as error:
            raise WrongSetting(f"ANNALS_BACKUP_KEKS: {error}") from None
