"""Bearer tokens: JWTs that carry permissions, a tenant and an expiry.

The signing key stands here in the open on purpose: it signs tokens for a toy on loopback, and they are
worthless anywhere else.
"""

import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import Any

import jwt
from fastapi import Request

from sandbox.entity import ENTITIES
from sandbox.errors import ApiError

ALL_PERMISSIONS = tuple(name for entity in ENTITIES.values() for name in entity.permissions)

DEFAULT_LIFETIME = 1800
DEFAULT_TENANT = "default"

_SIGNING_KEY = "sandbox-on-loopback-only-worthless-elsewhere"
_ALGORITHM = "HS256"


@dataclass(frozen=True)
class Caller:
    """Who sends a request, as its token says."""

    tenant: str
    permissions: frozenset[str]

    def require(self, permission: str, message: str | None = None) -> None:
        """Raise a 403 `ApiError` unless the caller holds `permission`."""
        if permission not in self.permissions:
            text = message or f"Permission '{permission}' required"
            raise ApiError(HTTPStatus.FORBIDDEN, "PERMISSION_DENIED", text)


def issue_token(
    permissions: Iterable[str] = ALL_PERMISSIONS,
    expires_in: int = DEFAULT_LIFETIME,
    tenant: str | None = None,
) -> str:
    """Sign a token that ends `expires_in` seconds from now; a negative number gives an expired one."""
    now = int(time.time())
    # The identifier keeps two tokens of one second apart: the limiter counts for each token.
    claims: dict[str, object] = {
        "sub": "sandbox-user",
        "permissions": list(permissions),
        "iat": now + min(expires_in, 0),
        "exp": now + expires_in,
        "jti": uuid.uuid4().hex,
    }
    if tenant is not None:
        claims["tenant"] = tenant
    return jwt.encode(claims, _SIGNING_KEY, algorithm=_ALGORITHM)


def authenticate(request: Request) -> Caller:
    """Read the caller from the Authorization header; a missing, bad or expired token is the same 401."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise _unauthenticated()
    try:
        claims = _claims(token.strip(), int(time.time()))
    except jwt.InvalidTokenError as error:
        raise _unauthenticated() from error
    permissions = claims.get("permissions") or []
    return Caller(str(claims.get("tenant", DEFAULT_TENANT)), frozenset(permissions))


@lru_cache(maxsize=64)
def _claims(token: str, _second: int) -> dict[str, Any]:
    """Give what a token says. An expiry is a whole second, so a verdict on it holds for the second it is made in."""
    return dict(jwt.decode(token, _SIGNING_KEY, algorithms=[_ALGORITHM], options={"require": ["exp"]}))


def _unauthenticated() -> ApiError:
    return ApiError(HTTPStatus.UNAUTHORIZED, "AUTHENTICATION_REQUIRED", "Authentication required")
