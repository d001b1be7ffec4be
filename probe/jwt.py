"""Reads what a token says of itself: a JWT with an expiry, or not. Nothing is verified; the API decides."""

import base64
import json
import sys
from typing import NamedTuple


class Described(NamedTuple):
    """What a token says of itself; `expires_at` in seconds since 1970, None where it does not say."""

    is_jwt: bool
    expires_at: float | None


def describe(token: str) -> Described:
    """Read a token without verifying it; whatever it holds, this only reads."""
    try:
        _header, payload, _signature = token.split(".")
        claims = json.loads(base64.b64decode(payload + "=" * (-len(payload) % 4), altchars=b"-_", validate=True))
        expiry = claims.get("exp")
    except (ValueError, RecursionError, AttributeError):
        return Described(is_jwt=False, expires_at=None)
    # A number that no clock can show is none.
    is_time = type(expiry) in (int, float) and abs(expiry) <= sys.float_info.max
    return Described(is_jwt=True, expires_at=float(expiry) if is_time else None)
