"""Bearer tokens: Ed25519-signed JSON Web Tokens (RFC 8037, RFC 8725) with roles. What a role may do is in access.py."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from service.problems import Problem
from service.settings import ServiceSettings
from service.tokens import parse_public_keys

MAX_TOKEN_CHARS = 8192
_REQUIRED = ["iss", "aud", "exp", "sub", "roles"]
# A signed payload that PyJWT itself trips over (`exp` of 1e400) is refused like any other.
_REFUSED = (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError, AttributeError)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a request: the token's `sub`, its roles (in a route those it admits), and when it expires."""

    subject: str
    roles: frozenset[str]
    expires_at: datetime
    purpose: str | None = None
    """Why a member of the staff reads somebody's records; None for everybody else."""


class Verifier:
    """Turns a token into its caller, or refuses it. The algorithm is fixed here and never taken from the token."""

    def __init__(self, keys: Sequence[Ed25519PublicKey], issuer: str, audience: str, leeway_seconds: float = 0) -> None:
        self.keys = tuple(keys)
        self._issuer = issuer
        self._audience = audience
        self._leeway = leeway_seconds

    @classmethod
    def from_settings(cls, settings: ServiceSettings) -> Verifier:
        """The verifier that the `jwt_*` settings describe; raises ValueError for a malformed key."""
        keys = parse_public_keys(settings.jwt_public_key)
        return cls(keys, settings.jwt_issuer, settings.jwt_audience, settings.jwt_leeway_seconds)

    def verify(self, token: str) -> Caller:
        """The caller; raises Problem 401 with a reason that helps an honest client and tells a forger nothing new."""
        if len(token) > MAX_TOKEN_CHARS:
            raise unauthorized(f"The token is longer than {MAX_TOKEN_CHARS} characters.")
        if not self.keys:
            raise unauthorized("This service has no key to verify tokens with.")
        return _caller(self._claims(token))

    def _claims(self, token: str) -> dict[str, Any]:
        try:
            if jwt.get_unverified_header(token).get("alg") != "EdDSA":
                raise unauthorized("The token must be signed with EdDSA (Ed25519).")
            for key in self.keys[:-1]:
                try:
                    return self._decode(token, key)
                except jwt.InvalidSignatureError:
                    continue  # signed with another of the keys, perhaps
            return self._decode(token, self.keys[-1])
        except jwt.ExpiredSignatureError:
            raise unauthorized("The token has expired.") from None
        except jwt.ImmatureSignatureError:
            raise unauthorized("The token is not valid yet.") from None
        except jwt.MissingRequiredClaimError as error:
            raise unauthorized(f"The token lacks the claim {error.claim}.") from None
        except jwt.InvalidAudienceError:
            raise unauthorized("The token is for another audience.") from None
        except jwt.InvalidIssuerError:
            raise unauthorized("The token is from another issuer.") from None
        except _REFUSED:
            raise unauthorized("The token is malformed or its signature is wrong.") from None

    def _decode(self, token: str, key: Ed25519PublicKey) -> dict[str, Any]:
        return jwt.decode(
            token,
            key,
            algorithms=["EdDSA"],
            issuer=self._issuer,
            audience=self._audience,
            leeway=self._leeway,
            options={"require": _REQUIRED},
        )


def _caller(claims: dict[str, Any]) -> Caller:
    subject, roles = claims["sub"], claims["roles"]
    if not isinstance(subject, str) or not 1 <= len(subject) <= 200 or not subject.isprintable():
        raise unauthorized("The claim sub must be 1 to 200 printable characters.")
    if not isinstance(roles, list) or not all(isinstance(role, str) for role in roles):
        raise unauthorized("The claim roles must be a list of strings.")
    try:
        expires_at = datetime.fromtimestamp(float(claims["exp"]), UTC)
    except (ValueError, OverflowError, OSError):
        raise unauthorized("The claim exp is out of range.") from None
    return Caller(subject, frozenset(roles), expires_at)


def unauthorized(detail: str, *, presented: bool = True) -> Problem:
    """A 401 with the challenge of RFC 6750; without an error code if no token was presented."""
    challenge = 'Bearer realm="annals"' + (
        f', error="invalid_token", error_description="{detail}"' if presented else ""
    )
    return Problem(
        401, "unauthorized", "A valid bearer token is needed.", detail, headers={"www-authenticate": challenge}
    )


_bearer = HTTPBearer(auto_error=False, bearerFormat="JWT", description="Ed25519-signed JSON Web Token.")


async def caller(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> Caller:
    """Dependency: the caller, whatever their roles. 401 without a valid token."""
    presented = request.headers.getlist("authorization")
    if len(presented) > 1:
        raise unauthorized("Expected one Authorization header.")
    if credentials is None:
        raise unauthorized("Expected the header Authorization: Bearer <token>.", presented=bool(presented))
    verifier: Verifier = request.app.state.verifier
    found = verifier.verify(credentials.credentials)
    request.scope["annals.caller"] = found
    return found


CurrentCaller = Annotated[Caller, Depends(caller)]
