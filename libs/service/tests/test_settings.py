from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import SettingsConfigDict

from privacy import DEVELOPMENT
from service import ServiceSettings, WrongSetting, env_example
from service.personal import keks_of
from service.settings import unknown_variables
from service.tokens import generate_keys


class ShopSettings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="SHOP_")

    shelves: int = Field(3, description="Shelves in the shop.")


def test_a_services_own_variable_wins_over_the_shared_one_which_wins_over_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert ShopSettings().log_level == "info"
    monkeypatch.setenv("ANNALS_LOG_LEVEL", "error")
    assert ShopSettings().log_level == "error"
    monkeypatch.setenv("SHOP_LOG_LEVEL", "debug")
    assert ShopSettings().log_level == "debug"


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_HTTP_PORT", "")
    assert ShopSettings().http_port == 8000


def test_the_name_comes_from_the_prefix() -> None:
    assert ShopSettings().name == "shop"


def test_secrets_are_not_shown() -> None:
    settings = ShopSettings(database_url=SecretStr("postgresql://shop:hunter2@db/shop"))
    assert "hunter2" not in repr(settings) + settings.model_dump_json()


def test_production_refuses_connections_without_verified_tls() -> None:
    tls = SecretStr("postgresql://db/shop?sslmode=verify-full")
    with pytest.raises(ValidationError, match="database_url: expected sslmode=verify-full"):
        ShopSettings(environment="production")
    with pytest.raises(ValidationError, match="kafka_ca_file: expected in production"):
        ShopSettings(environment="production", database_url=tls)
    with pytest.raises(ValidationError, match="owner_database_url"):
        ShopSettings(environment="production", database_url=tls, owner_database_url=SecretStr("postgresql://db/shop"))


def test_production_wants_a_role_for_queries_a_key_store_and_keys_of_its_own(tmp_path: Path) -> None:
    tls = SecretStr("postgresql://db/shop?sslmode=verify-full")
    production: dict[str, Any] = {"environment": "production", "database_url": tls, "kafka_ca_file": tmp_path / "ca"}
    with pytest.raises(ValidationError, match="query_database_url: expected in production"):
        ShopSettings(**production)
    production["query_database_url"] = tls
    with pytest.raises(ValidationError, match="keys_database_url: expected in production"):
        ShopSettings(**production)
    with pytest.raises(ValidationError, match="keks: expected in production"):
        ShopSettings(**production, keys_database_url=tls)
    for wrong in (DEVELOPMENT, f"mine:AAAA,{DEVELOPMENT}", "mine:AAAA"):
        settings = ShopSettings(**production, keys_database_url=tls, keks=SecretStr(wrong))
        with pytest.raises(WrongSetting, match="keks: ") as refused:
            keks_of(settings)
        assert wrong not in str(refused.value)


def test_inconsistent_settings_are_refused_by_name() -> None:
    with pytest.raises(ValidationError, match="expected both or neither"):
        ShopSettings(kafka_username="shop")


@pytest.mark.parametrize("key", ["nonsense!", "AAAA", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"])
def test_a_malformed_public_key_is_refused(key: str) -> None:
    with pytest.raises(ValidationError):
        ShopSettings(jwt_public_key=key)


def test_a_private_key_is_no_public_key() -> None:
    private, _ = generate_keys()
    with pytest.raises(ValidationError) as refused:
        ShopSettings(jwt_public_key=private)
    assert private not in str(refused.value.errors(include_input=False))


def test_kafka_options_name_the_protocol_that_tls_and_credentials_need() -> None:
    assert ShopSettings().kafka_options() == {
        "bootstrap_servers": "127.0.0.1:9092",
        "client_id": "shop",
        "security_protocol": "PLAINTEXT",
    }
    with_password = ShopSettings(kafka_username="shop", kafka_password=SecretStr("hunter2")).kafka_options()
    assert with_password["security_protocol"] == "SASL_PLAINTEXT"
    assert with_password["sasl_plain_password"] == "hunter2"


def test_env_example_lists_every_variable_once_with_its_description_and_default() -> None:
    text = env_example([ShopSettings])
    names = [line.partition("=")[0] for line in text.splitlines() if line and not line.startswith("#")]
    assert len(set(names)) == len(names)
    assert {name.split("_", 1)[1].lower() for name in names} == set(ShopSettings.model_fields)
    assert "# Shelves in the shop.\nSHOP_SHELVES=3\n" in text
    assert "ANNALS_POOL_MAX=20\n" in text
    assert "SHOP_DATABASE_URL=postgresql:///\n" in text


def test_env_example_is_itself_a_valid_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for line in env_example([ShopSettings]).splitlines():
        if line and not line.startswith("#"):
            name, _, value = line.partition("=")
            monkeypatch.setenv(name, value)
    assert ShopSettings() == ShopSettings.model_construct(**{
        name: field.get_default() for name, field in ShopSettings.model_fields.items()
    })  # fmt: skip
    assert unknown_variables(ShopSettings) == []


def test_a_setting_without_a_description_is_refused() -> None:
    class Undescribed(ServiceSettings):
        model_config = SettingsConfigDict(env_prefix="U_")
        secret_sauce: int = 1

    with pytest.raises(ValueError, match=r"Undescribed\.secret_sauce"):
        env_example([Undescribed])


def test_a_misspelt_variable_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_DATABSE_URL", "x")
    monkeypatch.setenv("SHOP_SHELVES", "4")
    assert unknown_variables(ShopSettings) == ["SHOP_DATABSE_URL"]
