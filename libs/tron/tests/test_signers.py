"""Keys from files and from services, without ever showing one."""

from __future__ import annotations

import json

import coincurve
import pytest

from tron.keys import Key, signer
from tron.signers import KeystoreError, LocalSigner, open_keystore, recoverable, seal_keystore

# The test vectors of the Web3 Secret Storage definition: both files hold this key, under this password.
SECRET, PASSWORD = "7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d", "testpassword"
PBKDF2 = {
    "crypto": {
        "cipher": "aes-128-ctr",
        "cipherparams": {"iv": "6087dab2f9fdbbfaddc31a909735c1e6"},
        "ciphertext": "5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46",
        "kdf": "pbkdf2",
        "kdfparams": {
            "c": 262144,
            "dklen": 32,
            "prf": "hmac-sha256",
            "salt": "ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd",
        },
        "mac": "517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2",
    },
    "id": "3198bc9c-6672-5ab3-d995-4942343ae5b6",
    "version": 3,
}
SCRYPT = {
    "crypto": {
        "cipher": "aes-128-ctr",
        "cipherparams": {"iv": "83dbcc02d8ccb40e466191a123791e0e"},
        "ciphertext": "d172bf743a674da9cdad04534d56926ef8358534d458fffccd4e6ad2fbde479c",
        "kdf": "scrypt",
        "kdfparams": {
            "dklen": 32,
            "n": 262144,
            "p": 8,
            "r": 1,
            "salt": "ab0c7876052600dd703518d6fc3fe8984592145b591fc8fb5c6d43190334ba19",
        },
        "mac": "2103ac29920d71da29f15d75b4a16dbe95cfd7ff8faea1056c33131d846e3097",
    },
    "id": "3198bc9c-6672-5ab3-d995-4942343ae5b6",
    "version": 3,
}
QUICK = {"n": 1024, "r": 8, "p": 1}


@pytest.mark.parametrize("file", [PBKDF2, SCRYPT], ids=["pbkdf2", "scrypt"])
def test_the_standards_own_files_are_opened(file: dict[str, object]) -> None:
    assert open_keystore(json.dumps(file), PASSWORD).secret.hex() == SECRET


def test_what_is_sealed_is_opened_with_its_password_only() -> None:
    key = Key.random()
    text = seal_keystore(key, "correct horse", QUICK)
    assert key.secret.hex() not in text
    assert open_keystore(text, "correct horse").address == key.address
    with pytest.raises(KeystoreError, match="the password does not open it, or it was changed"):
        open_keystore(text, "wrong horse")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"cipher": "aes-256-cbc"}, "expected the cipher aes-128-ctr, got 'aes-256-cbc'"),
        ({"kdf": "argon2"}, "expected scrypt or PBKDF2 with hmac-sha256, got 'argon2'"),
        ({"mac": "not hex"}, "not a file of version 3: ValueError"),
        ({"kdfparams": {"dklen": 16, "salt": "00", "n": 2, "r": 8, "p": 1}}, "at least 32 bytes, got 16"),
        ({"kdfparams": {"dklen": 32, "salt": "00", "n": 2**40, "r": 8, "p": 1}}, "expected scrypt within"),
    ],
)
def test_another_file_is_refused_with_the_reason(change: dict[str, object], reason: str) -> None:
    file = json.loads(seal_keystore(Key.random(), "x", QUICK))
    with pytest.raises(KeystoreError, match=reason):
        open_keystore(json.dumps(file | {"crypto": file["crypto"] | change}), "x")
    with pytest.raises(KeystoreError, match="not a file of version 3"):
        open_keystore("[]", "x")


async def test_a_signer_shows_its_address_only() -> None:
    key = Key.random()
    local = LocalSigner(key)
    assert signer(bytes(32), await local.sign(bytes(32))) == key.address == local.address
    assert repr(local) == f"LocalSigner({key.address})"


def test_a_key_services_signature_becomes_a_recoverable_one() -> None:
    for number in range(20):
        key, digest = coincurve.PrivateKey(), bytes([number]) * 32
        der, address = key.sign(digest, hasher=None), Key(key.secret).address
        assert signer(digest, recoverable(der, digest, address)) == address
    with pytest.raises(ValueError, match="got another key's"):
        recoverable(der, digest, Key.random().address)
    with pytest.raises(ValueError, match="expected DER, got 3 other bytes"):
        recoverable(b"abc", digest, address)
