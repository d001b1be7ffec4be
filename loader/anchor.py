"""The last seal, noted in a file beside the database: seals that are cut off the end of the chain are missed by it."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from loader.errors import Refused, StoppedEarly
from loader.whole import write_file


@dataclass(frozen=True)
class Anchor:
    """Number and seal of the last row of `audit.fct_seals` when it was noted."""

    number: int
    seal: str


def anchor_path(database: Path) -> Path:
    """Return the file that notes the last seal of a database."""
    return database.with_name(database.name + ".seal")


def read_anchor(database: Path) -> Anchor | None:
    """Return what was noted; None when there is no such file. What is no seal is on no chain: its number is 0.

    Raises:
        Refused: the file cannot be read.

    """
    path = anchor_path(database)
    try:
        noted = json.loads(path.read_bytes())
        return Anchor(int(noted["number"]), str(noted["seal"]))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Refused(f"{path}: cannot be read ({error.strerror}); make it readable for its owner") from error
    except (ValueError, KeyError, TypeError, OverflowError):
        return Anchor(0, "")


def write_anchor(database: Path, anchor: Anchor) -> None:
    """Write the file whole.

    Raises:
        StoppedEarly: the folder or the disk does not take it.

    """
    path, text = anchor_path(database), json.dumps(asdict(anchor)) + "\n"
    try:
        write_file(path, lambda file: file.write(text.encode()))
    except OSError as error:
        raise StoppedEarly(
            f"{path}: cannot be written ({error.strerror}); free the disk, then run the same command again"
        ) from error
