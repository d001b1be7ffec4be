"""Makes the files of a run again from the audit tables, and compares each with what the run wrote."""

import hashlib
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from loader.audit.journal import RunRow
from loader.audit.runs import known_run
from loader.card import read_card
from loader.errors import GateClosed, StoppedEarly
from loader.reports.advice import pipeline_command, with_short_paths
from loader.reports.documents import write_reports
from loader.reports.files import OutputFile, write_json
from loader.reports.records import RecordsReplaced, export_records
from loader.storage.warehouse import Row, Warehouse

_PROBE = "contract_probe"
_WRITTEN = "select kind, sha256 from audit.fct_output_files where run_id = ? order by written_at"


class State(Enum):
    """How a file that was made again compares with the one that the run wrote, and with the one in the folder."""

    IDENTICAL = "identical to what the run wrote"
    NEW = "made now; the run ended before it wrote it"
    DIFFERS = "DIFFERS from what the run wrote: the audit rows or the program are not what they were"
    OTHER_FILE = "not written: the folder has another file of this name; move it away, or give --output another folder"


@dataclass(frozen=True)
class Remade:
    """One file that was made again."""

    kind: str
    path: Path
    sha256: str
    written_sha256: str | None
    state: State

    @property
    def is_fine(self) -> bool:
        """Tell whether the file is there and is what the run wrote, where it wrote one."""
        return self.state in (State.IDENTICAL, State.NEW)

    def as_row(self) -> Row:
        """Return it for `--json`."""
        return vars(self) | {"path": str(self.path), "state": self.state.name.lower()}


def remake(warehouse: Warehouse, run: RunRow, folder: Path) -> tuple[list[Remade], list[str]]:
    """Write the files of a finished run to a folder; return them, and in words why others cannot be made.

    A file of the same name and other contents is never replaced: somebody may be correcting it, or it is the evidence.
    Nothing is written to `audit`. Raises StoppedEarly where a file cannot be written.
    """
    missing: list[str] = []
    return _compared(warehouse, run.run_id, folder, lambda place: _made(warehouse, run, place, missing)), missing


def remake_probe(warehouse: Warehouse, run_id: str, folder: Path) -> list[Remade]:
    """Write the file of a contract probe to a folder, as `remake` does; return it, or nothing if there is none."""
    return _compared(warehouse, run_id, folder, lambda place: _probe_file(warehouse, run_id, place))


def _compared(
    warehouse: Warehouse, run_id: str, folder: Path, make: Callable[[Path], list[OutputFile]]
) -> list[Remade]:
    written = {row["kind"]: row["sha256"] for row in warehouse.rows(_WRITTEN, [run_id])}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".") as temporary:
            return [_placed(file, folder, written.get(file.kind)) for file in make(Path(temporary))]
    except OSError as error:
        raise StoppedEarly(f"{folder}: cannot be written ({error.strerror}); give --output another folder") from error


def _made(warehouse: Warehouse, run: RunRow, folder: Path, missing: list[str]) -> list[OutputFile]:
    """Return the files that can be made, and add to `missing` why others cannot."""
    probed = _probe_file(warehouse, run.run_id, folder)
    files = write_reports(warehouse, run, folder) + probed
    if not probed and any(row["kind"] == _PROBE for row in warehouse.rows(_WRITTEN, [run.run_id])):
        missing.append("the file of the contract probe cannot be made again: its document was not kept")
    try:
        files += export_records(warehouse, run, read_card(run.entity_type), folder)
    except (RecordsReplaced, GateClosed):
        command = pipeline_command(known_run(warehouse, run.run_id), "--validate-only")
        missing.append(
            "the accepted and rejected records cannot be made again, dbt has built something else since; "
            f"to split the file anew: {with_short_paths(command)}"
        )
    return files


def _probe_file(warehouse: Warehouse, run_id: str, folder: Path) -> list[OutputFile]:
    found = warehouse.rows("select document from audit.fct_probe_documents where run_id = ?", [run_id])
    return [write_json(folder / f"{_PROBE}_{run_id}.json", json.loads(row["document"]), _PROBE) for row in found]


def _placed(file: OutputFile, folder: Path, written: str | None) -> Remade:
    path = folder / file.path.name
    if path.exists() and _sha256(path) != file.sha256:
        state = State.OTHER_FILE
    else:
        file.path.rename(path)
        state = State.NEW if written is None else State.IDENTICAL if written == file.sha256 else State.DIFFERS
    return Remade(file.kind, path, file.sha256, written, state)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
