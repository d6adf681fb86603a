"""The keys to send with, from the environment, from encrypted files, or from a service that keeps them."""

from __future__ import annotations

import importlib
import json
import re

from chain.settings import ChainSettings
from service import WrongSetting
from tron.keys import Key
from tron.signers import KeystoreError, LocalSigner, Signer, read_keystore

_NAME = re.compile(r"[a-z][a-z0-9-]{0,49}")


class KeyringError(WrongSetting):
    """The settings name no usable keys; the message begins with the setting's name and never holds a key."""


def keyring(settings: ChainSettings) -> dict[str, Signer]:
    """The signers by the names under which others ask for them; none, where no key is configured.

    Raises KeyringError.
    """
    found: list[tuple[str, Signer]] = [*_from_environment(settings), *_from_files(settings), *_from_service(settings)]
    for name, _ in found:
        if not _NAME.fullmatch(name):
            raise KeyringError(
                f"sending_keys: {name!r:.60}: expected lower-case letters, digits and hyphens, at most 50"
            )
    signers = dict(found)
    if len(signers) < len(found):
        raise KeyringError("sending_keys: expected one key for each name, with those of keystore and signers")
    if len({signer.address for signer in signers.values()}) < len(signers):
        raise KeyringError("sending_keys: expected one name for each key, with those of keystore and signers")
    return signers


def _from_environment(settings: ChainSettings) -> list[tuple[str, Signer]]:
    if settings.sending_keys is None:
        return []
    try:
        keys: dict[str, str] = json.loads(settings.sending_keys.get_secret_value())
        return [(name, LocalSigner(Key.from_hex(secret))) for name, secret in keys.items()]
    except (ValueError, AttributeError, TypeError):  # their messages may hold a part of the key
        raise KeyringError("sending_keys: expected a JSON object of names and private keys of 64 hex digits") from None


def _from_files(settings: ChainSettings) -> list[tuple[str, Signer]]:
    if settings.keystore is None or settings.keystore_password is None:
        return []
    password, files = settings.keystore_password.get_secret_value(), sorted(settings.keystore.glob("*.json"))
    if not files:
        raise KeyringError(f"keystore: expected files <sender>.json in {settings.keystore}, found none")
    try:
        return [(file.stem, LocalSigner(read_keystore(file, password))) for file in files]
    except KeystoreError as error:
        raise KeyringError(f"keystore: {error}") from None


def _from_service(settings: ChainSettings) -> list[tuple[str, Signer]]:
    if not settings.signers:
        return []
    module, _, function = settings.signers.partition(":")
    if not function:
        raise KeyringError(f"signers: expected package.module:function, got {settings.signers!r}")
    try:
        made = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise KeyringError(f"signers: {settings.signers}: {error}") from error
    return list(made().items())
