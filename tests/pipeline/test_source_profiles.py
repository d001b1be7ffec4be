"""Source profiles: an export's own column names are read by `[sources.NAME]`, and stay its own in all that is said."""

import csv
import json
from pathlib import Path

import pytest

from loader.errors import SourceRefused
from tests.pipeline.landing import cells, landed
from tests.support import Home

OURS = "external_ref,title,description,incident_type,severity,status,incident_date,location"
THEIRS = "Incident No;Summary;Details;Type;Risk level;State;Occurred;Site;Owner"
ROWS = [
    "A-1;Fall;Fell from a ladder;injury;high;closed;2026-01-05;Hall 1;Ann",
    "A-2;;Caf\xe9 floor wet;injury;wrong one;closed;2026-01-06;;Bob",
    "A-3;Oil;Oil on the way;environmental;low;closed;2026-13-40;Yard;Cid",
    THEIRS,
]
PROFILE = """
[sources.acme]
delimiter = "semicolon"
encoding = "cp1252"
[sources.acme.columns]
"Incident No" = "external_ref"
"Summary" = "title"
"Details" = "description"
"Type" = "incident_type"
"Risk level" = "severity"
"State" = "status"
"Occurred" = "incident_date"
"Site" = "location"
"""


def with_profile(home: Home, text: str = PROFILE) -> None:
    path = home.folder / "etl.toml"
    path.write_text(path.read_text(encoding="utf-8") + text, encoding="utf-8")


def source(home: Home, header: str, rows: list[str], **how: str) -> Path:
    path = home.folder / f"export{len(list(home.folder.glob('export*')))}.csv"
    path.write_text("\n".join([header, *rows]) + "\n", **how)
    return path


def test_a_profile_reads_an_export_and_everything_keeps_its_names(home: Home):
    with_profile(home)
    theirs = source(home, THEIRS, ROWS, encoding="cp1252")
    given = ("--validate-only", "--json", "--source", theirs, "--source-profile", "acme")
    first = home.loader(*given)
    assert first.returncode == 1, first.stderr
    summary = json.loads(first.stdout)
    assert summary["ledger"]["ready_records"] == 1
    report = home.documents("validation")[-1]
    assert report["source"]["profile"] == "acme"
    messages = {error["message"] for record in report["invalid_records"] for error in record["errors"]}
    assert {message.split("'")[0].strip() for message in messages} == {
        "Summary is blank",
        "Risk level",
        "Occurred",
        "the record is the header line again",
    }
    details = home.query("select details from audit.fct_run_events where action = 'source_read'")
    assert json.loads(details[0][0])["columns"]["Risk level"] == "severity"

    # The same data under our names has the same hash.
    line = OURS.replace(",", ";") + ";Owner"
    ours = source(home, line, ROWS[:3], encoding="cp1252")
    plain = home.loader("--validate-only", "--json", "--source", ours, "--delimiter", ";", "--encoding", "cp1252")
    without = source(home, THEIRS, ROWS[:3], encoding="cp1252")
    mapped = home.loader(*given[:3], without, *given[4:])
    assert json.loads(plain.stdout)["output_hash"] == json.loads(mapped.stdout)["output_hash"]

    rejected = sorted(home.output.glob("rejected_*.csv"))[-1]
    with rejected.open(encoding="utf-8-sig", newline="") as file:
        header, *records = list(csv.reader(file))
    assert header == [*THEIRS.split(";"), "_line", "_codes", "_how_to_fix", "_suggestion"]
    assert records[0][:9] == ROWS[1].split(";")
    back = home.loader(*given[:3], rejected, *given[4:])
    assert json.loads(back.stdout)["total_records"] == 2, back.stderr
    assert (
        "unknown source profile 'nobody'; etl.toml knows acme"
        in home.loader(*given[:4], "--source-profile", "nobody").stderr
    )


def test_a_build_by_hand_reads_the_profile(home: Home):
    with_profile(home)
    theirs = source(home, THEIRS, ROWS[:1], encoding="cp1252")
    done = home.dbt("build", ETL_SOURCE=str(theirs), ETL_SOURCE_PROFILE="acme")
    assert done.returncode == 0, done.stdout
    assert home.query("select title, location from payload.fct_incident_payload") == [("Fall", "Hall 1")]


def test_missing_columns_are_refused_with_a_table_to_paste_and_optional_ones_said(home: Home):
    given = ("--validate-only", "--source-profile", "export0", "--source")
    with_profile(home, '\n[sources.export0]\n[sources.export0.columns]\n"Incident No" = "external_ref"\n')
    theirs = source(home, THEIRS.replace(";State", ""), [row.replace(";closed", "") for row in ROWS[:1]])
    refused = home.loader("--validate-only", "--source", theirs)
    assert refused.returncode == 2
    first, told, *table = refused.stderr.splitlines()
    assert first.startswith("error: ")
    assert "--delimiter semicolon" in first
    assert "--source-profile export0" in told
    assert "[sources.export0]" in table
    assert 'delimiter = ";"' in table
    assert '"Risk level" = "severity"' in table
    assert any(line.startswith('# "..." = "status"') for line in table)
    home.settings()
    with_profile(home, "\n".join(["", *table, ""]))
    assert home.loader(*given, theirs).returncode == 0

    # cases/sevlevel.csv
    home.settings()
    header = OURS.replace("incident_type,severity,status", "type,risk level,state")
    sevlevel = source(home, header, ["A-1,Fall,Fell,injury,critical,closed,2026-01-05,Hall"])
    done = home.loader("--validate-only", "--source", sevlevel)
    assert done.returncode == 0
    assert (
        "warning: the file has no column 'severity', so 1 record gets the default 'medium'; 'risk level' looks like it"
        in done.stdout
    )
    missing = home.documents("validation")[-1]["source"]["missing_columns"]
    assert [(one["column"], one["default"], one["records"], one["looks_like"]) for one in missing] == [
        ("incident_type", "other", 1, "type"),
        ("severity", "medium", 1, "risk level"),
        ("status", "reported", 1, "state"),
    ]


CASES = [
    ({"R": "title", "T": "title"}, "R,T,ref\n1,2,3\n", r"'R', 'T' are all read as 'title'; keep one"),
    ({"R": "ref", "T": "nothing"}, "R,title\n1,2\n", r"'nothing' is no column of this entity; it has 'ref', 'title'"),
    ({"R": "ref", "Gone": "place"}, "R,title\n1,2\n", r"lacks 'Gone' of \[sources.acme\] in etl.toml; it has 'R'"),
    ({"R": "ref"}, "R,ref,title\n1,2,3\n", r"has 'ref', and 'R', which the profile reads as that"),
    ({"_line": "ref"}, "_line,title\n1,2\n", r"'_line' is a column that our own CSV files add"),
    ({"R": "ref"}, "R,Titel\n1,2\n", r"the header lacks 'title'; it has 'R', 'Titel'"),
]


@pytest.mark.parametrize(("columns", "text", "message"), CASES)
def test_a_profile_that_does_not_fit_is_refused(
    columns: dict[str, str], text: str, message: str, home: Home, monkeypatch: pytest.MonkeyPatch
):
    lines = [f"{json.dumps(theirs)} = {json.dumps(ours)}" for theirs, ours in columns.items()]
    with_profile(home, "\n".join(["", "[sources.acme.columns]", *lines, ""]))
    monkeypatch.setenv("ETL_CONFIG", str(home.folder / "etl.toml"))
    monkeypatch.setenv("ETL_SOURCE_PROFILE", "acme")
    with pytest.raises(SourceRefused, match=message):
        landed(text)


def test_names_go_before_delimiter_and_our_own_file_comes_back_by_the_profile(
    home: Home, monkeypatch: pytest.MonkeyPatch
):
    with_profile(home, '\n[sources.acme]\ndelimiter = ";"\nencoding = "cp1252"\ncolumns = {R = "ref", T = "title"}\n')
    monkeypatch.setenv("ETL_CONFIG", str(home.folder / "etl.toml"))
    monkeypatch.setenv("ETL_SOURCE_PROFILE", "acme")
    (row,) = landed("R;T;x\n1;caf\xe9;y\n".encode("cp1252"))
    assert cells(row) == ["1", "caf\xe9", None]
    assert (row["source_columns"], row["renamed_columns"]) == ('["R","T","x"]', '{"ref": "R", "title": "T"}')
    (back,) = landed("\ufeffR,T,x,_line\n1,caf\xe9,y,2\n")
    assert (cells(back), back["record_hash"]) == (cells(row), row["record_hash"])
    assert (back["renamed_columns"], back["is_export"]) == (row["renamed_columns"], True)
    monkeypatch.setenv("ETL_DELIMITER", "|")
    monkeypatch.setenv("ETL_ENCODING", "utf-8")
    (row,) = landed("R|T|x\n1|caf\xe9|y\n")
    assert cells(row) == ["1", "caf\xe9", None]
    monkeypatch.delenv("ETL_SOURCE_PROFILE")
    (plain,) = landed("ref|title|x\n1|caf\xe9|y\n")
    assert plain["record_hash"] == row["record_hash"] == back["record_hash"]
