"""Settings of the console: CONSOLE_… in the environment, else ANNALS_…, else the default."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from service import ServiceSettings


class ConsoleSettings(ServiceSettings):
    """It keeps nothing itself; what it looks at is where the services' own variables say."""

    model_config = SettingsConfigDict(env_prefix="CONSOLE_")
    has_database: ClassVar[bool] = False

    look_seconds: float = Field(
        2, ge=0.2, le=60, description="Pause between two looks at the services, if anybody does."
    )
    late_seconds: float = Field(60, ge=0, description="Lag from which on a page says that something is wrong.")
