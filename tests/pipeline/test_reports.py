"""What a data owner gets of a run: a short table, the two CSVs, reports for machines, and their checksums."""

import csv
import hashlib
import json
import shlex
import stat
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from loader.audit.runs import find_run
from loader.reports.documents import audit_document
from loader.reports.files import Entries, write_json
from loader.storage.warehouse import Warehouse
from sandbox.process import Sandbox
from tests.support import GOLDEN, HEADER, Home

GOOD = 'GOOD-1,Loose handrail,"A handrail, loose at its foot",safety,low,open,2026-01-05,Stair 3,{}'
LONG = "d" * 200


def test_a_rejected_file_is_corrected_and_given_back(home: Home):
    records = [f"BAD-{at},Title {at},No such kind,{LONG},low,open,2026-01-05,Stair 3,=1+{at}" for at in range(40)]
    source = home.folder / "many.csv"
    source.write_text("\n".join([HEADER + ",owner", GOOD.format("-x"), "", *records]) + "\n", encoding="utf-8")
    done = home.loader("--validate-only", "--source", source)
    assert done.returncode == 1, done.stderr
    (accepted,), (rejected,) = (list(home.output.glob(f"{kind}_incident_*.csv")) for kind in ("accepted", "rejected"))
    assert accepted.read_text(encoding="utf-8") == f"{HEADER},owner,_line\n{GOOD.format(chr(39) + '-x')},2\n"

    lines = done.stdout.splitlines()
    (group,) = [line for line in lines if "unknown_enum" in line]
    assert group.split() == ["error", "unknown_enum", "incident_type", "40"]
    (shown,) = [line for line in lines if line.startswith("  line ")]
    assert shown.startswith("  line 4: incident_type 'ddd")
    assert shown.endswith("is not a known value")
    assert "blank lines in the file, skipped: 1" in lines
    assert "warning: columns of the header that are not known, and not sent: 'owner'" in lines
    assert lines[-2] == f"next: correct {rejected} and give it back:"
    assert lines[-1].endswith(f"--validate-only --source {rejected} --entity-type incident")
    assert len(lines) < 30

    with rejected.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        corrected = [row | {"incident_type": "safety"} for row in reader]
    assert [(row["owner"], row["_line"], row["_codes"]) for row in corrected[:2]] == [
        ("'=1+0", "4", "unknown_enum"),
        ("'=1+1", "5", "unknown_enum"),
    ]
    with rejected.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(corrected[0]))
        writer.writeheader()
        writer.writerows(corrected)
    again = home.loader("--validate-only", "--source", rejected)
    assert again.returncode == 0, again.stdout
    assert "warning: columns of the header that are not known, and not sent: 'owner'\n" in again.stdout
    assert "taken for one of our own CSV files, given back" in again.stdout
    assert "taken for" not in done.stdout
    twice = max(home.output.glob("accepted_incident_*.csv")).read_text(encoding="utf-8")
    assert ",'=1+0,2\n" in twice
    assert "''=" not in twice
    assert "records in the file 40 = parse error 0 + invalid 0 + duplicate 0 + excepted 0 + ready 40" in again.stdout
    newest = max(home.output.glob("rejected_incident_*.csv"))
    assert newest != rejected
    assert newest.read_text(encoding="utf-8") == f"{HEADER},owner,_line,_codes,_how_to_fix,_suggestion\n"


def test_every_file_of_a_run_is_kept_with_its_checksum(home: Home, sandbox: Sandbox):
    assert home.loader("--import").returncode == 0
    assert sandbox.records()
    kept = home.query("select kind, path, sha256, bytes, records from audit.fct_output_files order by kind")
    assert [(kind, records) for kind, _, _, _, records in kept] == [
        ("accepted", 5),
        ("audit", None),
        ("contract_probe", None),
        ("import_summary", None),
        ("rejected", 0),
        ("stats", None),
        ("validation", None),
    ]
    assert {Path(path) for _, path, *_ in kept} == set(home.output.iterdir())
    for _, path, sha256, size, _ in kept:
        data = Path(path).read_bytes()
        assert (hashlib.sha256(data).hexdigest(), len(data)) == (sha256, size)
        assert stat.S_IMODE(Path(path).stat().st_mode) == 0o600


def test_the_trail_of_a_validation_leaves_changed_cells_to_the_tables(home: Home):
    assert home.loader("--validate-only").returncode == 0
    assert home.loader("--dry-run").returncode == 0
    validated, dry = home.documents("audit")
    assert "record_transformed" not in {step["action"] for step in validated}
    assert "record_transformed" in {step["action"] for step in dry}
    assert [step["action"] for step in dry if step["row_number"] is None][-1] == "run_finished"
    assert list(dry[0]) == ["timestamp", "run_id", "action", "entity_type", "row_number", "source_hash", "details"]
    (started,) = home.query("select event_time, details from audit.fct_run_events where action = 'run_started' limit 1")
    assert validated[0]["timestamp"] == started[0].isoformat(timespec="milliseconds") + "Z"
    assert validated[0]["details"] == json.loads(started[1])


def test_a_long_trail_that_is_made_in_parts_is_the_same(home: Home):
    """The changes of 1,000,000 records took 1.4 GB to list at once; DuckDB stops at its limit of memory."""
    broken = "B-1,,,safety,low,open,2026-01-05,"
    many = [f"P-{at},  Title {at},Text,safety,low,open,2026-01-05,Yard" for at in range(7)]
    assert home.loader("--import", "--source", home.csv("many.csv", *many, broken)).returncode == 1
    golden = GOLDEN.read_text(encoding="utf-8").splitlines()[1:]
    assert home.loader("--import", "--source", home.csv("good.csv", *golden, *many)).returncode == 0
    assert home.loader("--import").returncode == 0
    warehouse = Warehouse(home.database, 1, print)
    runs = [find_run(warehouse, run_id) for (run_id,) in home.query("select run_id from audit.fct_runs")]
    assert len(runs) == 3
    for run in runs:
        whole = list(chain.from_iterable(audit_document(warehouse, run).batches))
        assert len(whole) > run.total_records
        for at_once in (1, 3):
            assert list(chain.from_iterable(audit_document(warehouse, run, at_once).batches)) == whole


def test_exceptions_without_effect_are_shown(home: Home):
    home.query(
        "create or replace table validation.int_incident_exceptions as select *, 'r' as reason, 'A' as approved_by, "
        "[]::bigint[] as record_numbers from (values ('R-1', null, 'required', 'expired'), "
        "(null, 'abc', 'required', 'unused'), ('R-3', null, 'required', 'used')) "
        "as exceptions (reference_number, record_hash, code, state)"
    )
    shown = [line for line in home.loader("--validate-only").stdout.splitlines() if "the exception of" in line]
    assert len(shown) == 2
    assert any("the exception of R-1 from required is expired; renew or remove" in line for line in shown)
    assert any("the exception of record abc from required is unused; renew or remove" in line for line in shown)


def test_a_long_list_is_streamed_and_stays_json(tmp_path: Path):
    taken = []

    def batches() -> Iterator[list[str]]:
        for at in range(3):
            taken.append((at, next(tmp_path.glob(".*.tmp")).stat().st_size))
            yield [json.dumps({"at": at, "text": 'a "\n'})] * 50_000

    document = {"none": Entries(iter([])), "a\nb": {"x": ["1\n2"]}, "many": Entries(batches()), "last": None}
    written = write_json(tmp_path / "d.json", document, "kind")
    read = json.loads(written.path.read_text(encoding="utf-8"))
    assert list(read) == ["none", "a\nb", "many", "last"]
    assert (read["none"], read["a\nb"], read["last"]) == ([], {"x": ["1\n2"]}, None)
    assert [entry["at"] for entry in read["many"]] == [0] * 50_000 + [1] * 50_000 + [2] * 50_000
    assert taken[1][1] > 1_000_000  # the first batch is on its way before the second is asked for
    assert json.loads(write_json(tmp_path / "e.json", Entries(iter([["1", "2"], ["3"]]))).path.read_text()) == [1, 2, 3]


def test_the_next_command_reads_the_file_that_it_names(home: Home):
    """A `;` file in cp1252: the command that is printed for its rejected file works when it is copied."""
    records = [GOOD.format("x").replace("Loose", "L\u00f6se"), GOOD.format("y").replace("GOOD-1", "GOOD-2")]
    source = home.folder / "other.csv"
    text = "\n".join([HEADER + ",owner", records[0], records[1].replace("2026-01-05", "15/01/2026")]) + "\n"
    source.write_text(text.replace(",", ";").replace(";  loose", ", loose"), encoding="cp1252")
    dialect = ("--delimiter", "semicolon", "--encoding", "cp1252")
    first = home.loader("--validate-only", "--source", source, *dialect)
    assert first.returncode == 1, first.stderr
    command = shlex.split(first.stdout.splitlines()[-1])
    assert command[-6:-2] == ["--delimiter", ",", "--encoding", "utf-8"]
    again = home.run(command, ETL_DELIMITER=";", ETL_ENCODING="cp1252")
    assert "error" not in again.stderr, again.stderr
    assert "records in the file 1 = parse error 0 + invalid 1" in again.stdout
