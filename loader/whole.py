"""Writes a file whole or not at all."""

import os
import tempfile
from collections.abc import Callable
from io import BufferedRandom
from pathlib import Path
from typing import TypeVar

Written = TypeVar("Written")


def write_file(path: Path, write: Callable[[BufferedRandom], Written]) -> Written:
    """Let `write` fill a temporary file, flush it to the disk and rename it, so that no reader sees half of it.

    Args:
        path: where it stands in the end; only its owner may read it.
        write: fills the opened file; what it returns is returned.

    Raises:
        OSError: the folder or the disk does not take it.

    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
    temporary = Path(name)
    with os.fdopen(descriptor, "w+b") as file:
        try:
            written = write(file)
            file.flush()
            os.fsync(file.fileno())
            temporary.rename(path)
        finally:
            temporary.unlink(missing_ok=True)
    return written
