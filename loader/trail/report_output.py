"""Where a report goes: a file, whole or not at all, or standard output."""

import shutil
import stat
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from loader.console import silence
from loader.errors import Refused, StoppedEarly
from loader.export_files import write_whole

STANDARD_OUTPUT = "-"


def output_path(given: str) -> Path | None:
    """Return the file that is to be written; None for standard output.

    Raises:
        Refused: something else than a file stands there, which would be replaced.

    """
    if given == STANDARD_OUTPUT:
        return None
    path = Path(given).absolute()
    with suppress(OSError):
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            what = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
            raise Refused(f"{path}: is {what}; name a file that is to be written, or - for standard output")
    return path


def put(path: Path | None, write: Callable[[BinaryIO], int | None]) -> None:
    """Let `write` fill the file, or for None a temporary one that is copied to standard output when it is whole.

    Raises:
        StoppedEarly: it cannot be written.

    """
    if path:
        write_whole("", path, write)
        return
    with tempfile.TemporaryFile() as file:
        write(file)
        file.seek(0)
        try:
            shutil.copyfileobj(file, sys.stdout.buffer, 1 << 20)
            sys.stdout.buffer.flush()
        except OSError as error:
            silence(sys.stdout)
            if not isinstance(error, BrokenPipeError):
                raise StoppedEarly(f"standard output cannot be written ({error.strerror}); name a file") from error
