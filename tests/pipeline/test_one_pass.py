"""A messy export is right after one pass of corrections by who knows nothing but what the run has written."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import CARD, Home

pytestmark = pytest.mark.dbt
RECORDS, EVERY = 5_000, 40
Row = dict[str, str]


def mistyped(row: Row) -> None:
    row["severity"] = "hgih"


def in_words(row: Row) -> None:
    row["severity"] = "2 - High"


def misspelt(row: Row) -> None:
    row["incident_type"] = "Saftey"


def unknown(row: Row) -> None:
    row["status"] = "Waiting for Godot"


def month_first(row: Row) -> None:
    row["incident_date"] = "3/25/2026"


def either_order(row: Row) -> None:
    row["incident_date"] = "4/3/2026"


def month_in_letters(row: Row) -> None:
    row["incident_date"] = "15 Jan 2026"


def untitled(row: Row) -> None:
    row["title"] = " "


def of_a_formula(row: Row) -> None:
    row["description"] = "#REF!"


def of_a_spreadsheet(row: Row) -> None:
    row["external_ref"] = f"1.2345{len(row['external_ref'])}E+15"


def twice(row: Row) -> None:
    row["external_ref"] = "M-0001"


def footer(row: Row) -> None:
    row.update(dict.fromkeys(row, "") | {"external_ref": "Total: 4711"})


def header_again(row: Row) -> None:
    row.update({name: name for name in row})


DAMAGES: list[Callable[[Row], None]] = [
    *(mistyped, in_words, misspelt, unknown, month_first, either_order, month_in_letters),
    *(untitled, of_a_formula, of_a_spreadsheet, twice, footer, header_again),
]
NO_RECORD = {"repeated_header", "blank_record", "not_a_record"}


def messy(path: Path) -> int:
    """Write the export; return how many of its records are damaged."""
    damaged = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, CARD.source_columns)
        writer.writeheader()
        for number in range(1, RECORDS + 1):
            cells = [
                f"M-{number:04}",
                f"Ladder slipped {number}",
                "A ladder slid on wet paint.",
                "hazard",
                "low",
                "open",
            ]
            row = dict(zip(CARD.source_columns, [*cells, "2026-01-15", "Hall 9"], strict=True))
            if number % EVERY == 0:
                DAMAGES[damaged % len(DAMAGES)](row)
                damaged += 1
            writer.writerow(row)
    return damaged


def corrected(rejected: Path, decided: dict[str, str], into: Path) -> None:
    """Correct a rejected file as its own columns say: take what is suggested, write what is missing."""
    with rejected.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        rows, names = list(reader), reader.fieldnames or []
    with into.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        for row in rows:
            codes = set(row["_codes"].split("; "))
            if codes & NO_RECORD:
                continue
            for suggestion in filter(None, row["_suggestion"].split("; ")):
                column, _, value = suggestion.partition(": ")
                row[column] = value
            for column in CARD.source_columns:
                row[column] = decided.get(row[column], row[column])
                if f"{column} is blank" in row["_how_to_fix"] or row[column].startswith("#"):
                    row[column] = "written anew"
            if codes & {"conflicting_duplicate", "damaged_reference"}:
                row["external_ref"] = f"NEW-{row['_line']}"
            writer.writerow(row)


def test_one_pass_of_corrections_leaves_no_error(home: Home):
    source, again = home.folder / "messy.csv", home.folder / "corrected.csv"
    damaged = messy(source)
    done = home.loader("--validate-only", "--source", source)
    assert done.returncode == 1, done.stderr
    report = home.documents("validation")[-1]
    assert len(report["invalid_records"]) >= damaged
    values = {entry["value"]: entry["suggestion"] or "open" for entry in report["unknown_values"]["most_frequent"]}
    flags = [flag for field in report["dates"]["fields"] for flag in (field["order_flag"] or "").split()]
    assert flags == ["--date-order", "month"]
    corrected(next(home.output.glob("rejected_*.csv")), values, again)
    done = home.loader("--validate-only", *flags, "--source", again)
    assert done.returncode == 0, done.stdout
    assert home.documents("validation")[-1]["invalid_records"] == []
