"""Settings of a service, all from environment variables, each described where it is declared."""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar, Literal, Self
from urllib.parse import parse_qs, urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from service.tokens import parse_public_keys

SHARED_PREFIX = "ANNALS_"
DATABASES = (
    "database_url",
    "query_database_url",
    "owner_database_url",
    "keys_database_url",
    "owner_keys_database_url",
)


class WrongSetting(ValueError):
    """A setting that shows to be wrong only when it is used; the message begins with its name: `keystore: …`."""


class ServiceSettings(BaseSettings):
    """The settings every service has; a service subclasses it with its own `env_prefix` and adds its own.

    A setting `x` of `rewards` is read from `REWARDS_X`, else from `ANNALS_X` (shared by all services), else its
    default holds. Every default is safe to construct: without a public key no token is accepted, and there is no
    default password.
    """

    model_config = SettingsConfigDict(env_prefix="SERVICE_", env_ignore_empty=True, extra="forbid", frozen=True)
    has_database: ClassVar[bool] = True
    """Whether it keeps anything itself."""

    environment: Literal["local", "production"] = Field(
        "local", description="`production` refuses connections to PostgreSQL and Kafka without verified TLS."
    )
    database_url: SecretStr = Field(
        SecretStr("postgresql:///"),
        description="PostgreSQL of this service, as its runtime role: postgresql://role:password@host:port/database.",
    )
    query_database_url: SecretStr | None = Field(
        None,
        description="The same database as the role that queries run as, <service>_query, which sees of rows about "
        "somebody only those that a request may show. Without, in a local environment, the runtime role takes it.",
    )
    owner_database_url: SecretStr | None = Field(
        None, description="The same database as its owner; only `migrate` reads it."
    )
    keys_database_url: SecretStr | None = Field(
        None,
        description="PostgreSQL of this service's key store, as its runtime role: a database of its own, whose backups "
        "are kept apart and at most 30 days. Without, in a local environment, the service's own database.",
    )
    owner_keys_database_url: SecretStr | None = Field(
        None, description="The key store's database as its owner; only `migrate` reads it."
    )
    keks: SecretStr | None = Field(
        None,
        description="Key-encryption keys, the current one first: name:base64,name:base64 of 32 bytes each, or "
        "file:PATH of such a text. Without, in a local environment, one that everybody knows.",
    )
    keys_remembered_seconds: float = Field(
        60, ge=0, description="Longest time that a process remembers a subject's key; an erasure waits for it."
    )
    pool_max: int = Field(20, ge=1, le=1000, description="Most connections for commands and workers.")
    query_pool: int = Field(10, ge=1, le=1000, description="Most connections for queries (read only).")
    statement_seconds: float = Field(30, gt=0, description="Longest run of one SQL statement.")
    idle_transaction_seconds: float = Field(
        60, gt=0, description="PostgreSQL ends a transaction that is idle for so long (it would hold back readers)."
    )
    kafka_bootstrap: str = Field("127.0.0.1:9092", description="Kafka brokers to start from: host:port,host:port.")
    kafka_ca_file: Path | None = Field(None, description="CA certificates (PEM) that Kafka's must chain to: uses TLS.")
    kafka_username: str | None = Field(None, description="SCRAM-SHA-512 user name for Kafka, if it asks for one.")
    kafka_password: SecretStr | None = Field(None, description="Password of kafka_username.")
    http_host: str = Field("127.0.0.1", description="Address the HTTP server listens on.")
    http_port: int = Field(8000, ge=0, le=65535, description="Port the HTTP server listens on; 0: any free one.")
    http_body_bytes: int = Field(1_048_576, ge=0, description="Largest request body.")
    http_requests: int = Field(200, ge=1, description="Most requests served at once; more are answered 503.")
    http_request_seconds: float = Field(30, gt=0, description="Longest time until a response starts.")
    http_patience_seconds: float = Field(
        10,
        ge=0,
        description="Longest wait of a request for a server that is away, such as a database that restarts; then 503. "
        "Only of requests that may be repeated: safe ones, and commands with a key.",
    )
    http_streams: int = Field(500, ge=1, description="Most event streams open at once; more are answered 503.")
    http_streams_each: int = Field(10, ge=1, description="Most event streams of one caller; more are answered 429.")
    http_stream_seconds: float = Field(900, gt=0, description="An event stream ends after so long; clients come back.")
    http_heartbeat_seconds: float = Field(15, gt=0, description="A sign of life on an event stream without events.")
    jwt_public_key: str = Field(
        "",
        description="Ed25519 public key that tokens are verified with: PEM, or its 32 bytes in base64; several "
        "separated by commas while a key is rotated. Empty: every token is refused.",
    )
    jwt_issuer: str = Field("annals", min_length=1, description="The `iss` a token must carry.")
    jwt_audience: str = Field("annals", min_length=1, description="The `aud` a token must carry.")
    jwt_leeway_seconds: float = Field(5, ge=0, le=300, description="Clock difference tolerated in `exp` and `nbf`.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least severe level logged.")
    log_format: Literal["json", "console"] = Field("json", description="`json` for machines, `console` for people.")
    traces: Literal["off", "otlp", "console"] = Field(
        "off",
        description="Where OpenTelemetry spans go: `otlp` to a collector (OTEL_EXPORTER_OTLP_ENDPOINT and the other "
        "standard OTEL_* variables), `console` to standard output, for development.",
    )
    trace_ratio: float = Field(
        1.0,
        ge=0,
        le=1,
        description="Share of the traces begun here that is sampled; one begun elsewhere keeps its flag.",
    )
    lag_limit: int = Field(100_000, ge=0, description="Events a subscription may be behind before /ready answers 503.")
    seal_seconds: float = Field(60, gt=0, description="Longest time until an event of the log is sealed.")
    start_seconds: float = Field(300, gt=0, description="Longest wait for the database and its migrations at start.")
    shutdown_seconds: float = Field(20, gt=0, description="Longest graceful shutdown; then the process is ended.")

    @property
    def name(self) -> str:
        """The service's name, `rewards` for the prefix `REWARDS_`."""
        return str(self.model_config["env_prefix"]).rstrip("_").lower()

    @field_validator("jwt_public_key")
    @classmethod
    def _keys(cls, text: str) -> str:
        parse_public_keys(text)
        return text

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.kafka_username is None) != (self.kafka_password is None):
            raise ValueError("kafka_username and kafka_password: expected both or neither")
        if self.environment == "production" and self.has_database:
            self._check_production()
        return self

    def _check_production(self) -> None:
        for field in DATABASES:
            url: SecretStr | None = getattr(self, field)
            if url is not None and not _verified_tls(url.get_secret_value()):
                raise ValueError(f"{field}: expected sslmode=verify-full in production")
        if self.kafka_ca_file is None:
            raise ValueError("kafka_ca_file: expected in production (Kafka over TLS)")
        if self.query_database_url is None:
            raise ValueError("query_database_url: expected in production (queries log in with a role of their own)")
        for field in ("keys_database_url", "keks"):
            if getattr(self, field) is None:
                raise ValueError(f"{field}: expected in production (personal data are sealed)")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, EnvSettingsSource(settings_cls, env_prefix=SHARED_PREFIX)

    def kafka_options(self) -> dict[str, Any]:
        """Keyword arguments that connect any aiokafka client: servers, client id, TLS and credentials."""
        options: dict[str, Any] = {"bootstrap_servers": self.kafka_bootstrap, "client_id": self.name}
        if self.kafka_ca_file is not None:
            options["ssl_context"] = ssl.create_default_context(cafile=self.kafka_ca_file)
        if self.kafka_username is not None and self.kafka_password is not None:
            options["sasl_mechanism"] = "SCRAM-SHA-512"
            options["sasl_plain_username"] = self.kafka_username
            options["sasl_plain_password"] = self.kafka_password.get_secret_value()
        options["security_protocol"] = {
            (False, False): "PLAINTEXT",
            (True, False): "SSL",
            (False, True): "SASL_PLAINTEXT",
            (True, True): "SASL_SSL",
        }[self.kafka_ca_file is not None, self.kafka_username is not None]
        return options


def _verified_tls(url: str) -> bool:
    return parse_qs(urlsplit(url).query).get("sslmode", [""])[-1] == "verify-full"


def env_example(classes: Iterable[type[BaseSettings]]) -> str:
    """The text of `.env.example`: every variable that the services of `classes` read, described, with its default.

    The shared settings come once, with the prefix `ANNALS_`; then each service's own. Variables that differ for each
    service (its database, its port) are listed under the service.
    """
    lines = ["# Every variable. A service's own prefix wins: REWARDS_LOG_LEVEL over ANNALS_LOG_LEVEL."]
    each = (*DATABASES, "keks", "http_port")
    shared = [name for name in ServiceSettings.model_fields if name not in each]
    lines += ["", "# All services", *_example_lines(ServiceSettings, SHARED_PREFIX, shared)]
    for cls in classes:
        prefix = str(cls.model_config["env_prefix"])
        keeps_nothing = issubclass(cls, ServiceSettings) and not cls.has_database
        nothing = (*DATABASES, "keks") if keeps_nothing else ()
        own = [name for name in cls.model_fields if name not in (*shared, *nothing)]
        lines += ["", f"# {prefix.removeprefix(SHARED_PREFIX).rstrip('_').lower()}", *_example_lines(cls, prefix, own)]
    return "\n".join(lines) + "\n"


def _example_lines(cls: type[BaseSettings], prefix: str, names: Iterable[str]) -> list[str]:
    lines = []
    for name in names:
        field = cls.model_fields[name]
        if not field.description:
            raise ValueError(f"{cls.__name__}.{name}: expected Field(description=...)")
        default = field.get_default(call_default_factory=False)
        if isinstance(default, SecretStr):
            default = default.get_secret_value()
        known = not field.is_required() and default is not None and field.default_factory is None
        lines += [f"# {field.description}", f"{prefix}{name.upper()}={default if known else ''}"]
    return lines


def unknown_variables(cls: type[ServiceSettings]) -> list[str]:
    """Variables of the environment with the service's prefix that are no setting of it: most likely misspelt."""
    prefix = str(cls.model_config["env_prefix"])
    known = {prefix + name.upper() for name in cls.model_fields}
    nested = tuple(f"{name}__" for name in known)
    found = (name for name in os.environ if re.match(prefix, name, re.IGNORECASE))
    return sorted(name for name in found if name.upper() not in known and not name.upper().startswith(nested))
