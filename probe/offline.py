"""Compares a saved OpenAPI document with the card: no network, no token, no database."""

import json
import os
import stat
from pathlib import Path
from typing import Any

from loader.card import Card
from loader.errors import Refused
from probe.check import Check
from probe.checks import MAX_OPENAPI_BYTES, compared, contract_check


def compare_file(path: Path, card: Card) -> Check:
    """Return the check of the create contract, of the document in a file.

    Raises:
        Refused: it is not a regular file that can be read, or is larger than any such document.

    """
    _contract, findings = compared(_parsed(_read(path)), card)
    return contract_check(card, findings)


def _parsed(text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _read(path: Path) -> bytes:
    fix = "name the JSON document as curl -o saved it"
    try:
        # Without waiting for a writer, should it be a pipe.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise Refused(f"{path}: is not a regular file; {fix}")
            if found.st_size > MAX_OPENAPI_BYTES:
                raise Refused(f"{path}: {found.st_size:,} bytes, the limit is {MAX_OPENAPI_BYTES:,}; {fix}")
            return file.read()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "its name has a NUL byte"
        raise Refused(f"{path}: cannot be read ({reason}); {fix}") from error
