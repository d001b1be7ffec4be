"""C: the same checks and outputs in a loop over `csv.DictReader`, as one would write it in an evening.

It opens no gate, knows no exceptions and cannot see a stray quote: it is what validation costs without a database, not
another validator. The first reading finds what stands twice, the second judges and writes.

Usage: python -m benchmarks.dictreader_loop FILE ENTITY FOLDER
"""

import csv
import json
import sqlite3
import sys
from collections import Counter
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path
from typing import Any

from benchmarks.loop_rules import WHITE, Issue, Rules
from loader.card import Field, read_card

Row = dict[str | None, Any]
FORMULA = ("=", "+", "-", "@", "\t", "\r")
EXTRA = ["_line", "_codes", "_how_to_fix", "_suggestion"]
AT_ONCE = 10_000


class Writer:
    """The files of a run: accepted and rejected records, and an audit database of verdicts and changed cells."""

    def __init__(self, folder: Path, columns: list[str], closing: ExitStack) -> None:
        self.columns, self.issues = columns, list[Issue]()
        self.records, self.changes = list[tuple[Any, ...]](), list[tuple[Any, ...]]()
        self.accepted, self.rejected = (
            csv.writer(closing.enter_context((folder / name).open("w", encoding="utf-8", newline="")))
            for name in ("accepted.csv", "rejected.csv")
        )
        self.accepted.writerow(columns)
        self.rejected.writerow(columns + EXTRA)
        self.audit = sqlite3.connect(folder / "audit.sqlite")
        self.audit.execute("create table records (record_number, line_number, record_hash, status, codes)")
        self.audit.execute("create table changes (record_number, field, before, after, rule)")

    def keep(self, number: int, line: int, row: Row, record_hash: bytes, status: str, issues: list[Issue]) -> None:
        """Keep the verdict, and the record in its file, cells that a spreadsheet would run made harmless."""
        codes = " ".join(issue["code"] for issue in issues)
        self.records.append((number, line, record_hash.hex(), status, codes))
        self.issues += [issue | {"record_number": number, "line_number": line} for issue in issues]
        cells = [row[column] or "" for column in self.columns] + row.get(None, [])
        cells = ["'" + cell if cell.startswith(FORMULA) else cell for cell in cells]
        if status in {"valid", "duplicate"}:
            self.accepted.writerow(cells)
        else:
            explained = ("; ".join(issue[name] for issue in issues) for name in ("how_to_fix", "suggestion"))
            self.rejected.writerow([*cells, line, codes, *explained])
        if len(self.records) >= AT_ONCE:
            self.flush()

    def flush(self) -> None:
        """Write the collected verdicts and changes to the audit database."""
        with self.audit:
            self.audit.executemany("insert into records values (?, ?, ?, ?, ?)", self.records)
            self.audit.executemany("insert into changes values (?, ?, ?, ?, ?)", self.changes)
        self.records.clear()
        self.changes.clear()


class Repeated:
    """What the first reading finds: the hash of every record, and the references that stand in more than one."""

    def __init__(self, source: Path, key: str) -> None:
        self.hashes, self.first, self.conflicts = list[bytes](), dict[str, int](), Counter[str]()
        with source.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            at = next(reader).index(key)
            for number, cells in enumerate(filter(None, reader)):
                self.hashes.append(sha256("\x1f".join(cells).encode()).digest())
                reference = cells[at].strip(WHITE) if at < len(cells) else ""
                first = self.first.setdefault(reference, number)
                if reference and self.hashes[first] != self.hashes[number]:
                    self.conflicts[reference] += 1

    def verdict(self, rules: Rules, field: Field, reference: str, number: int, issues: list[Issue]) -> bool:
        """Add the conflict that a reference is part of; return whether an earlier record is the same."""
        if reference in self.conflicts:
            issues.append(rules.issue("conflicting_duplicate", field, reference, self.conflicts[reference] + 1))
        first = self.first.get(reference, number)
        if not reference or first == number or self.hashes[first] != self.hashes[number]:
            return False
        issues.append(rules.issue("duplicate_record", None, count=first + 1))
        return True


def validate(source: Path, entity: str, folder: Path) -> dict[str, Any]:
    """Check every record, write the files; return the report."""
    folder.mkdir(parents=True, exist_ok=True)
    rules = Rules(read_card(entity))
    key = next(field for field in rules.card.fields if field.is_key)
    repeated, counts, digest = Repeated(source, key.source_column), Counter[str](), sha256()
    with ExitStack() as closing:
        reader = csv.DictReader(closing.enter_context(source.open(encoding="utf-8-sig", newline="")))
        columns = list(reader.fieldnames or [])
        writer, line = Writer(folder, columns, closing), reader.line_num + 1
        for number, row in enumerate(reader, 1):
            issues: list[Issue] = []
            values: dict[str, str] = {}
            status, record_hash = _width_status(row, columns, rules, issues), repeated.hashes[number - 1]
            if not issues:
                values = _values(row, rules, number, writer, issues)
                status = _status(repeated.verdict(rules, key, values[key.name], number - 1, issues), issues)
            counts[status] += 1
            digest.update(record_hash + status.encode() + "\x1f".join(values.values()).encode())
            writer.keep(number, line, row, record_hash, status, issues)
            line = reader.line_num + 1
        writer.flush()
    return {"counts": counts, "output_hash": digest.hexdigest(), "issues": writer.issues}


def _values(row: Row, rules: Rules, number: int, writer: Writer, issues: list[Issue]) -> dict[str, str]:
    """Return the clean values of a record; note the cells that cleaning changed."""
    values = {}
    for field in rules.card.fields:
        before = row.get(field.source_column) or ""
        values[field.name], rule = rules.staged(field, before, issues)
        if values[field.name] != before:
            writer.changes.append((number, field.name, before, values[field.name], rule))
    return values


def _status(is_repeated: bool, issues: list[Issue]) -> str:  # noqa: FBT001 - it is what the caller asked
    if is_repeated:
        return "duplicate"
    return "invalid" if any(issue["severity"] == "error" for issue in issues) else "valid"


def _width_status(row: Row, columns: list[str], rules: Rules, issues: list[Issue]) -> str:
    cells = len(columns) + len(row.get(None, [])) - sum(row[column] is None for column in columns)
    if cells == len(columns):
        return "valid"
    code = "too_few_columns" if cells < len(columns) else "too_many_columns"
    issues.append(rules.issue(code, None, count=cells, limit=len(columns)))
    return "parse_error"


if __name__ == "__main__":
    path, entity_type, output = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    report = validate(path, entity_type, output)
    (output / "report.json").write_text(json.dumps(report, indent=2, ensure_ascii=False), encoding="utf-8")
    print(dict(report["counts"]), len(report["issues"]), "issues")
