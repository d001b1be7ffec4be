"""Reads what a token says of itself: a JWT with an expiry, or not. Nothing is verified; the API decides."""

import base64
import binascii
import json
import math
from dataclasses import dataclass

_PARTS = 3


@dataclass(frozen=True)
class Described:
    """What a token says of itself; `expires_at` in seconds since 1970, None where it does not say."""

    is_jwt: bool
    expires_at: float | None


def describe(token: str) -> Described:
    """Read a token without verifying it; whatever it holds, this only reads."""
    parts = token.split(".")
    if len(parts) != _PARTS:
        return Described(is_jwt=False, expires_at=None)
    try:
        payload = base64.b64decode(parts[1] + "=" * (-len(parts[1]) % 4), altchars=b"-_", validate=True)
        claims = json.loads(payload)
    except (binascii.Error, ValueError, RecursionError):
        return Described(is_jwt=False, expires_at=None)
    if not isinstance(claims, dict):
        return Described(is_jwt=False, expires_at=None)
    return Described(is_jwt=True, expires_at=_seconds(claims.get("exp")))


def _seconds(value: object) -> float | None:
    """Return a NumericDate; a number that no clock can show is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        seconds = float(value)
    except OverflowError:
        return None
    return seconds if math.isfinite(seconds) else None
