"""Settings of the greetings service: GREETINGS_… in the environment, else ANNALS_…, else the default."""

from __future__ import annotations

from pydantic_settings import SettingsConfigDict

from service import ServiceSettings


class GreetingsSettings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="GREETINGS_")
