"""Tokens, honest and forged; the forgeries of RFC 8725 §2 and random damage."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from service import Problem, Verifier, require
from service.tokens import generate_keys, main, mint, parse_public_keys

PRIVATE, PUBLIC = generate_keys()
KEY = parse_public_keys(PUBLIC)[0]
RAW = KEY.public_bytes(Encoding.Raw, PublicFormat.Raw)
SIGNER = Ed25519PrivateKey.from_private_bytes(
    load_pem_private_key(PRIVATE.encode(), None).private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
)
VERIFIER = Verifier([KEY], "annals", "annals", leeway_seconds=5)
NOW = datetime.now(UTC).replace(microsecond=0)


def claims(**changes: Any) -> dict[str, Any]:
    whole = {"iss": "annals", "aud": "annals", "sub": "alice", "roles": ["admin"], "exp": NOW + timedelta(hours=1)}
    return {name: value for name, value in (whole | changes).items() if value is not ...}


def signed(**changes: Any) -> str:
    return jwt.encode(claims(**changes), SIGNER, algorithm="EdDSA")


def b64(data: bytes | dict[str, Any]) -> str:
    raw = json.dumps(data).encode() if isinstance(data, dict) else data
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def wire_claims(**changes: Any) -> dict[str, Any]:
    return {name: int(v.timestamp()) if isinstance(v, datetime) else v for name, v in claims(**changes).items()}


def signed_raw(header: dict[str, Any], payload: bytes) -> str:
    """A token with any header and payload, under a correct Ed25519 signature."""
    message = f"{b64(header)}.{b64(payload)}"
    return f"{message}.{b64(SIGNER.sign(message.encode()))}"


def refusal(token: str, verifier: Verifier = VERIFIER) -> str:
    with pytest.raises(Problem) as refused:
        verifier.verify(token)
    assert refused.value.status == 401
    assert refused.value.headers["www-authenticate"].startswith('Bearer realm="annals", error="invalid_token"')
    return refused.value.detail


def test_a_minted_token_names_its_caller() -> None:
    caller = VERIFIER.verify(mint(PRIVATE, "alice", ["admin", "officer"], now=NOW))
    assert caller.subject == "alice"
    assert caller.roles == {"admin", "officer"}
    assert caller.expires_at == NOW + timedelta(hours=1)


def test_a_key_is_read_from_pem_base64_and_base64url_also_with_written_out_line_breaks() -> None:
    forms = [PUBLIC, PUBLIC.replace("\n", "\\n"), base64.b64encode(RAW).decode(), b64(RAW)]
    assert [key.public_bytes_raw() for form in forms for key in parse_public_keys(form)] == [RAW] * 4


def test_while_a_key_is_rotated_tokens_of_either_are_good() -> None:
    other_private, other_public = generate_keys()
    both = Verifier(parse_public_keys(f"{other_public},{PUBLIC}"), "annals", "annals")
    assert both.verify(mint(PRIVATE, "alice")).subject == "alice"
    assert both.verify(mint(other_private, "bob")).subject == "bob"
    assert "signature is wrong" in refusal(mint(generate_keys()[0], "eve"), both)
    assert "expired" in refusal(signed(exp=NOW - timedelta(hours=1)), both)


def test_without_a_key_every_token_is_refused() -> None:
    assert "no key" in refusal(signed(), Verifier([], "annals", "annals"))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"exp": NOW - timedelta(seconds=60)}, "expired"),
        ({"nbf": NOW + timedelta(seconds=3_600)}, "not valid yet"),
        ({"iat": NOW + timedelta(seconds=3_600)}, "not valid yet"),
        ({"aud": "someone-else"}, "another audience"),
        ({"aud": ["someone", "else"]}, "another audience"),
        ({"iss": "someone-else"}, "another issuer"),
        ({"exp": ...}, "lacks the claim exp"),
        ({"iss": ...}, "lacks the claim iss"),
        ({"aud": ...}, "lacks the claim aud"),
        ({"sub": ...}, "lacks the claim sub"),
        ({"roles": ...}, "lacks the claim roles"),
        ({"roles": "admin"}, "roles must be a list"),
        ({"roles": [1]}, "roles must be a list"),
        ({"sub": ""}, "sub must be"),
        ({"sub": "a\nb"}, "sub must be"),
        ({"sub": "x" * 201}, "sub must be"),
    ],
)
def test_a_token_with_a_wrong_claim_is_refused_with_the_reason(changes: dict[str, Any], reason: str) -> None:
    assert reason in refusal(signed(**changes))


def test_clocks_may_differ_by_the_leeway() -> None:
    now = datetime.now(UTC)  # not that of the import, which may be long ago
    assert VERIFIER.verify(signed(exp=now - timedelta(seconds=2), nbf=now + timedelta(seconds=2))).subject == "alice"


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "", None, "eddsa"])
def test_a_token_without_a_signature_is_refused(alg: str | None) -> None:
    for signature in ("", b64(b"x" * 64)):
        refusal(f"{b64({'alg': alg, 'typ': 'JWT'})}.{b64(wire_claims())}.{signature}")
    refusal(signed().rsplit(".", 1)[0] + ".")


@pytest.mark.parametrize("alg", ["HS256", "HS384", "HS512"])
@pytest.mark.parametrize(
    "secret",
    [PUBLIC.encode(), PUBLIC.strip().encode(), RAW, base64.b64encode(RAW), b""],
    ids=["pem", "stripped pem", "raw", "base64", "empty"],
)
def test_the_public_key_is_no_hmac_secret(alg: str, secret: bytes) -> None:
    message = f"{b64({'alg': alg, 'typ': 'JWT'})}.{b64(wire_claims())}"
    digest = getattr(hashlib, f"sha{alg[2:]}")
    refusal(f"{message}.{b64(hmac.new(secret, message.encode(), digest).digest())}")
    # the same MAC under a header that claims EdDSA
    message = f"{b64({'alg': 'EdDSA', 'typ': 'JWT'})}.{b64(wire_claims())}"
    refusal(f"{message}.{b64(hmac.new(secret, message.encode(), digest).digest())}")


def test_a_correct_signature_under_another_algorithms_name_is_refused() -> None:
    payload = json.dumps(wire_claims()).encode()
    algorithms: list[Any] = [
        "HS256",
        "ES256",
        "RS256",
        "PS256",
        "none",
        "EdDSA\0",
        ["EdDSA"],
        {"alg": "EdDSA"},
        1,
        True,
    ]
    for alg in algorithms:
        refusal(signed_raw({"alg": alg}, payload))


def test_other_curves_and_other_keys_are_refused() -> None:
    refusal(jwt.encode(claims(), generate_private_key(SECP256R1()), algorithm="ES256"))
    refusal(jwt.encode(claims(), Ed448PrivateKey.generate(), algorithm="EdDSA"))
    refusal(jwt.encode(claims(), Ed25519PrivateKey.generate(), algorithm="EdDSA"))


def test_a_key_that_the_token_brings_itself_is_not_used() -> None:
    private, public = generate_keys()
    raw = parse_public_keys(public)[0].public_bytes_raw()
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": b64(raw)}
    for header in (
        {"jwk": jwk},
        {"jku": "https://evil.example/jwks"},
        {"x5u": "https://evil.example/"},
        {"kid": "../../key"},
    ):
        refusal(jwt.encode(claims(), private, algorithm="EdDSA", headers=header))


def test_critical_extensions_that_are_unknown_are_refused() -> None:
    refusal(signed_raw({"alg": "EdDSA", "crit": ["exp2"], "exp2": 1}, json.dumps(wire_claims()).encode()))


NO_TIMES: list[Any] = [10**30, -(10**30), [1], {}, None, True]


@pytest.mark.parametrize(
    "payload",
    [b"", b"[]", b"null", b'"x"', b"{", b"\xff\xfe", b"[" * 3000, b'{"exp":1e400}', b'{"exp":"soon"}', b'{"exp":NaN}']
    + [json.dumps(wire_claims(exp=value)).encode() for value in NO_TIMES],
)
def test_a_signed_payload_that_makes_no_sense_is_refused(payload: bytes) -> None:
    refusal(signed_raw({"alg": "EdDSA"}, payload))
    base = json.dumps(wire_claims())[:-1].encode()
    if payload.startswith(b'{"exp"'):
        refusal(signed_raw({"alg": "EdDSA"}, base + b"," + payload[1:]))  # as the later of two members


def test_a_header_that_makes_no_sense_is_refused() -> None:
    body, signature = signed().split(".")[1:]
    for header in (
        b"",
        b"[]",
        b"null",
        b"[" * 3000,
        b"\xff",
        b'{"alg":"EdDSA","b64":false}',
        b'{"alg":"EdDSA","kid":1}',
    ):
        refusal(f"{b64(header)}.{body}.{signature}")


def test_a_token_that_is_too_long_is_refused_before_it_is_read() -> None:
    assert "longer than" in refusal(signed(roles=["x" * 9000]))


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=300))
def test_any_text_is_refused(text: str) -> None:
    refusal(text)


@settings(max_examples=300, deadline=None)
@given(place=st.integers(0, 10_000), replacement=st.characters(codec="latin-1"))
def test_a_token_changed_anywhere_is_refused(place: int, replacement: str) -> None:
    token = signed()
    place %= len(token)
    changed = token[:place] + replacement + token[place + 1 :]
    decoded = [_loose(part) for part in changed.split(".")]
    if decoded != [_loose(part) for part in token.split(".")]:  # unused bits of a last character say the same
        refusal(changed)


def _loose(part: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(part.encode() + b"=" * (-len(part) % 4))
    except ValueError:
        return part.encode()


def test_require_needs_a_role() -> None:
    with pytest.raises(ValueError, match="at least one role"):
        require()


async def test_over_http_a_missing_or_forged_token_is_401_and_a_missing_role_403(
    served: httpx.AsyncClient, bearer: Callable[..., dict[str, str]], keys: tuple[str, str]
) -> None:
    good = bearer("admin")["authorization"].removeprefix("Bearer ")
    refused = [
        {},
        {"authorization": ""},
        {"authorization": "Bearer"},
        {"authorization": f"Basic {good}"},
        {"authorization": good},
        {"authorization": f"Bearer {good}x"},
        {"authorization": f"Bearer {good} {good}"},
        {"authorization": f"Bearer {mint(PRIVATE, 'eve', ['admin'])}"},
        {"authorization": f"Bearer {mint(keys[0], 'alice', ['admin'], lifetime=timedelta(hours=-1))}"},
    ]
    for headers in refused:
        answer = await served.get("/admin", headers=headers)
        assert (answer.status_code, answer.json()["type"]) == (401, "urn:annals:problem:unauthorized"), headers
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["www-authenticate"].startswith("Bearer realm=")
    twice = [("authorization", f"Bearer {good}"), ("authorization", f"Bearer {good}")]
    assert (await served.get("/admin", headers=twice)).status_code == 401

    answer = await served.get("/admin", headers=bearer("writer"))
    assert (answer.status_code, answer.json()["roles"]) == (403, ["admin"])
    assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]
    assert (await served.get("/admin", headers=bearer("admin"))).json() == "alice"


def test_the_command_line_makes_keys_and_tokens(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["keys"]) == 0
    printed = capsys.readouterr().out
    end = printed.index("-----BEGIN PUBLIC")
    assert main(["mint", "alice"]) == 2
    assert "no private key" in capsys.readouterr().err
    monkeypatch.setenv("ANNALS_JWT_PRIVATE_KEY", printed[:end].replace("\n", "\\n"))
    assert main(["mint", "alice", "--role", "admin", "--role", "officer", "--hours", "2"]) == 0
    caller = Verifier(parse_public_keys(printed[end:]), "annals", "annals").verify(capsys.readouterr().out.strip())
    assert caller.roles == {"admin", "officer"}


def test_only_an_ed25519_key_mints() -> None:
    with pytest.raises(ValueError, match="expected Ed25519"):
        mint(_ed448(), "alice")
    with pytest.raises(ValueError, match="subject"):
        mint(PRIVATE, "")


def _ed448() -> str:
    return Ed448PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
