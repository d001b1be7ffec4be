"""A file of ours that comes back from a spreadsheet: references that are another than before are named."""

import csv
from pathlib import Path

import pytest

from tests.support import KEY_COLUMN, Home

RECORD = "{},Loose handrail,A handrail is loose,{},low,open,2026-01-05,Stair 3"
CHANGED = {"00017": "17", "202600000000017": "2.02600E+14", "4-5": "5-Apr"}


def write_changed(written: Path, path: Path) -> Path:
    """Write one of our files as a spreadsheet would save it again."""
    with written.open(encoding="utf-8", newline="") as file:
        records = list(csv.DictReader(file))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(records[0]))
        writer.writeheader()
        for record in records:
            writer.writerow(record | {KEY_COLUMN: CHANGED.get(record[KEY_COLUMN], record[KEY_COLUMN])})
    return path


def changes(home: Home) -> list[tuple[str, str, str]]:
    return home.query(
        "select severity, message, suggestion from validation.int_incident_issues "
        "where code = 'changed_reference' order by record_number"
    )


@pytest.mark.dbt
def test_each_reference_that_has_changed_is_named_with_what_it_was(empty_home: Home):
    references = [*CHANGED, "ZX-4"]
    source = empty_home.csv(
        "export.csv", *(RECORD.format(reference, kind) for kind in ("safety", "hazrd") for reference in references)
    )
    text = source.read_text(encoding="utf-8")
    for reference in references:
        text = text.replace(f"{reference},Loose handrail,A handrail is loose,hazrd", f"B{reference},T,D,hazrd")
    source.write_text(text, encoding="utf-8")
    assert empty_home.loader("--validate-only", "--source", source).returncode == 1
    (accepted,) = empty_home.output.glob("accepted_*.csv")
    expected = [
        ("warning", f"line {line} was '{before}', is now '{after}'", before)
        for line, (before, after) in enumerate(CHANGED.items(), 2)
    ]
    # Saved under another name it is told by its lines, under its own by that.
    for name in ("renamed.csv", accepted.name):
        returned = write_changed(accepted, empty_home.folder / name)
        done = empty_home.loader("--validate-only", "--source", returned)
        assert changes(empty_home) == expected, done.stdout
    # Nothing is said of a file that came back as it was, nor of another one with such a column.
    assert empty_home.loader("--validate-only", "--source", accepted).returncode == 0
    assert changes(empty_home) == []
