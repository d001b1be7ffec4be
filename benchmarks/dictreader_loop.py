"""C: the same checks and kinds of output in a loop over `csv.DictReader`, as one would write it without a database.

The first reading finds what can be known only of the whole file, the second judges and writes, row by row. What it
leaves out stands in README.md beside it.

Usage: python -m benchmarks.dictreader_loop FILE ENTITY FOLDER
"""

import contextlib
import csv
import hashlib
import json
import sqlite3
import sys
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any

from benchmarks.loop_reader import FirstReading, Malformed, Records
from benchmarks.loop_rules import Issue, Rules
from loader.card import read_card

EXTRA = ["_line", "_codes", "_how_to_fix", "_suggestion"]
WHOLE = "the whole record stands in the first cell, spread it over the columns here: "
# What a spreadsheet would run; apostrophes in front are counted in, so that one more can be taken away again.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")
AT_ONCE = 10_000
TABLES = {
    "records": "record_number, line_number, record_hash, status, codes",
    "issues": "record_number, line_number, code, stage, severity, field, value, message, how_to_fix, suggestion",
    "changes": "record_number, field, before, after, rule",
}


class Writer:
    """The files of a run: accepted and rejected records, and an audit database of verdicts, issues and changes."""

    def __init__(self, folder: Path, encoding: str, closing: contextlib.ExitStack) -> None:
        self.rows: dict[str, list[tuple[Any, ...]]] = {table: [] for table in TABLES}
        self.issues, self.counts, self.output_hash = list[Issue](), Counter[str](), sha256()
        self.accepted, self.rejected = (
            csv.writer(closing.enter_context((folder / name).open("w", encoding=encoding, newline="")))
            for name in ("accepted.csv", "rejected.csv")
        )
        self.audit = closing.enter_context(contextlib.closing(sqlite3.connect(folder / "audit.sqlite")))
        for table, columns in TABLES.items():
            self.audit.execute(f"create table {table} ({columns})")

    def begin(self, columns: list[str]) -> None:
        """Write the header of both files of records."""
        columns = _safe(columns)
        self.accepted.writerow([*columns, EXTRA[0]])
        self.rejected.writerow([*columns, *EXTRA])

    def keep(self, number: int, line: int, cells: Iterable[str], record_hash: bytes, issues: list[Issue]) -> None:
        """Keep the verdict and the issues, and the record in its file, its formulas made harmless."""
        status, codes = _status(issues) if issues else "valid", ""
        cells = _safe(cells)
        if issues:
            issues.sort(key=lambda issue: (issue["severity"], issue["code"], issue["field"]))
            codes = "; ".join(issue["code"] for issue in issues)
            for issue in issues:
                self.issues.append({"record_number": number, "line_number": line} | issue)
                self.rows["issues"].append(tuple(self.issues[-1].values()))
        if status == "valid":
            self.accepted.writerow([*cells, line])
        else:
            self.rejected.writerow([*cells, line, codes, *_explained(issues, status)])
        self.counts[status] += 1
        self.output_hash.update(record_hash + status.encode() + codes.encode())
        self.rows["records"].append((number, line, record_hash.hex(), status, codes))
        if len(self.rows["records"]) >= AT_ONCE:
            self.flush()

    def keep_malformed(self, record: Malformed, rules: Rules, width: int) -> None:
        """Keep a record that could not be read as one text in the first cell."""
        cells = [record.text] + [""] * (width - 1)
        self.keep(
            record.number, record.line, cells, sha256(record.text.encode()).digest(), [rules.malformed(record, width)]
        )

    def flush(self) -> None:
        """Write what is collected to the audit database."""
        with self.audit:
            for table, rows in self.rows.items():
                marks = ", ".join("?" for _ in TABLES[table].split(", "))
                self.audit.executemany(f"insert into {table} values ({marks})", rows)  # noqa: S608 - names of ours
                rows.clear()


def validate(source: Path, entity: str, folder: Path) -> dict[str, Any]:
    """Check every record, write the files; return the report."""
    folder.mkdir(parents=True, exist_ok=True)
    csv.field_size_limit(sys.maxsize)
    rules = Rules(read_card(entity))
    with contextlib.ExitStack() as closing:
        file = closing.enter_context(source.open("rb"))
        writer = Writer(folder, "utf-8-sig" if file.read(3) == BOM_UTF8 else "utf-8", closing)
        file.seek(0)
        source_sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
        first = FirstReading(file, rules.key.source_column)
        rules.zeros = first.zeros
        file.seek(0)
        records = Records(
            file, lambda record: writer.keep_malformed(record, rules, len(records.columns)), first.malformed
        )
        reader = csv.DictReader(records)
        writer.begin(list(reader.fieldnames or []))
        for at, row in enumerate(reader):
            values, changes, issues = rules.judged(row, first.repeats.get(at), records.line)
            writer.output_hash.update("\0".join(values.values()).encode())
            writer.rows["changes"] += [(records.number, *change) for change in changes]
            writer.keep(records.number, records.line, row.values(), first.hashes[at], issues)
        writer.flush()
    return {
        "source_sha256": source_sha256,
        "output_hash": writer.output_hash.hexdigest(),
        "counts": writer.counts,
        "issues": writer.issues,
    }


def _safe(cells: Iterable[str]) -> list[str]:
    return ["'" + cell if cell.lstrip("'").startswith(FORMULA) else cell for cell in cells]


def _status(issues: list[Issue]) -> str:
    if any(issue["code"] == "duplicate_reference" for issue in issues):
        return "duplicate"
    if not any(issue["severity"] == "error" for issue in issues):
        return "valid"
    return "parse_error" if issues[0]["stage"] == "landing" else "invalid"


def _explained(issues: list[Issue], status: str) -> tuple[str, str]:
    """Return what a rejected record says of its issues: the remedies, and the suggested values."""
    remedies = "; ".join(f"{issue['message']}: {issue['how_to_fix']}" for issue in issues)
    suggested = "; ".join(f"{issue['field']}: {issue['suggestion']}" for issue in issues if issue["suggestion"])
    return (WHOLE + remedies if status == "parse_error" else remedies), suggested


def main() -> None:
    """Validate the file that is named on the command line; print the counts."""
    path, entity, output = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    report = validate(path, entity, output)
    (output / "report.json").write_text(json.dumps(report, indent=2, ensure_ascii=False), encoding="utf-8")
    print(dict(report["counts"]), len(report["issues"]), "issues")


if __name__ == "__main__":
    main()
