"""Finds what `explain` is asked for: the sightings of a record, one for each run and line that has it."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loader.audit.runs import read_runs
from loader.errors import NotFound, Refused
from loader.reports.advice import shown
from loader.storage.warehouse import TEXTS, Row, Warehouse, fetch, in_bulk

_LINE = re.compile(r"(?s)(.+):([0-9]{1,15})\Z")
_COLUMNS = "record_number, line_number, reference_number, record_hash, status, exception_reason"
_NEAREST = """
    select reference_number from ({sources}) as known
    where reference_number is not null
    group by reference_number
    having jaro_winkler_similarity(lower(reference_number), lower($asked)) >= 0.8
    order by jaro_winkler_similarity(lower(reference_number), lower($asked)) desc, reference_number limit 3
"""


@dataclass
class Trail:
    """Where a record is looked for; `builds` are the last dbt builds by entity that no run has seen yet.

    `entity` and `run_id` narrow it, None is all. `sources` are queries over the records of audit and of those builds.
    """

    connection: Any
    warehouse: Warehouse
    runs: dict[str, Row]
    builds: dict[str, Row]
    last: dict[str, Row]
    there: set[str]
    entity: str | None
    run_id: str | None

    def sources(self) -> list[str]:
        """Return the queries; the first is over all runs."""
        narrowed = "" if self.run_id is None else "and run_id = $run_id"
        audit = f"select run_id, entity_type, {_COLUMNS}, rowid as place from audit.fct_records where true {narrowed}"  # noqa: S608
        if self.run_id is not None:
            return [audit]
        # The names of our own models, from the catalogue of the database.
        return [audit] + [
            f"select null as run_id, '{entity}' as entity_type, {_COLUMNS}, null as place "  # noqa: S608
            f"from validation.int_{entity}_records"
            for entity in self.builds
        ]

    def records(self, condition: str, **parameters: Any) -> list[Row]:
        """Return the sightings that fulfil a condition, in the order in which the runs were written."""
        entity = "" if self.entity is None else "and entity_type = $entity"
        given = {"run_id": self.run_id, "entity": self.entity} | parameters
        found = []
        for source in self.sources():
            query = (
                f"select * from ({source}) as records where {condition} {entity} "  # noqa: S608 - our own text
                "order by min(place) over (partition by run_id), record_number"
            )
            used = {name: value for name, value in given.items() if f"${name}" in query}
            found += fetch(self.connection, query, used)
        return found


def open_trail(connection: Any, warehouse: Warehouse, entity: str | None, run_id: str | None) -> Trail:
    """Return where to look.

    Raises:
        Refused: there is no such run.

    """
    runs, there = read_runs(connection), relations(connection)
    if run_id is not None and run_id not in runs:
        newest = f"; the last one is {next(reversed(runs))}" if runs else ""
        raise Refused(f"no run {run_id!r} among the {len(runs)} of {shown(warehouse.path)}{newest}")
    last = last_builds(connection, there)
    seen = {run["invocation_id"] for run in runs.values()}
    builds = {of: as_run(of, build) for of, build in last.items() if build["invocation_id"] not in seen}
    if entity is not None:
        builds = {of: build for of, build in builds.items() if of == entity}
    return Trail(connection, warehouse, runs, builds, last, there, entity, run_id)


def find(trail: Trail, asked: str) -> tuple[list[Row], bool]:
    """Return the sightings of a reference, oldest first; or that of `FILE:LINE` in the last run that read it, and True.

    Raises:
        NotFound: there is none; says where it was looked for, and names the nearest references.
        Refused: several files have that name.

    """
    for reference in dict.fromkeys((asked, asked.strip())):
        if found := trail.records("reference_number = $reference", reference=reference):
            return found, False
    if line := _LINE.match(asked):
        return _at_line(trail, line[1], int(line[2])), True
    raise _not_found(trail, asked)


def _at_line(trail: Trail, given: str, line: int) -> list[Row]:
    runs = trail.runs | {f"build {entity}": build for entity, build in trail.builds.items()}
    paths = of_file(runs, given)
    if len(paths) > 1 and len({shown(path) for path in paths}) > 1:
        listed = ", ".join(shown(path) for path in paths)
        raise Refused(f"{given} is the name of {len(paths)} files that were read: {listed}; give the path of one")
    if not paths:
        raise _not_found(trail, f"{given}:{line}", given)
    of_path = {run["run_id"] for run in runs.values() if run["source_file"] in paths}
    if trail.run_id is not None and trail.run_id not in of_path:
        raise NotFound(f"run {trail.run_id} has not read {given}: it read {trail.runs[trail.run_id]['source_file']}")
    newest = trail.run_id or _newest(trail, of_path)
    begun = trail.records("line_number <= $line and run_id is not distinct from $of", line=line, of=newest)
    if not begun:
        raise NotFound(f"{given}:{line} is the header, or a blank line below it; the records begin after it")
    record = max(begun, key=lambda row: (row["line_number"], row["record_number"]))
    return [record]


def _newest(trail: Trail, of_path: set[str | None]) -> str | None:
    """Return the run that was written last of these; None for a build that no run has seen."""
    if None in of_path:
        return None
    query = f"select run_id from audit.fct_records where run_id in (select unnest({TEXTS})) order by rowid desc limit 1"  # noqa: S608
    newest = fetch(trail.connection, query, [in_bulk(sorted(filter(None, of_path)))])
    return newest[0]["run_id"] if newest else ""


def _not_found(trail: Trail, asked: str, file: str | None = None) -> NotFound:
    """Return the error for a reference, or for a line of `file`, which no run has read."""
    (counted,) = fetch(
        trail.connection, "select count(*) as records, count(distinct run_id) as runs from audit.fct_records"
    )
    where = f"looked through {counted['records']:,} records of {counted['runs']:,} runs in audit.fct_records"
    for entity, build in trail.builds.items():
        where += (
            f", and through validation.int_{entity}_records of the last dbt build, on {shown(build['source_file'])}"
        )
    narrowed = "" if trail.run_id is None else f", of run {trail.run_id} alone"
    what = f"no run has read {file}, and no record has the reference {asked!r}" if file else f"no record {asked!r}"
    nearest = _nearest(trail, asked)
    hint = f"the nearest: {', '.join(repr(name) for name in nearest)}" if nearest else "no reference is like it"
    return NotFound(f"{what}: {where}{narrowed} ({shown(trail.warehouse.path)}); {hint}")


def _nearest(trail: Trail, asked: str) -> list[str]:
    sources = " union all ".join(f"select reference_number from ({source}) as records" for source in trail.sources())  # noqa: S608
    query = _NEAREST.format(sources=sources)
    parameters = {"asked": asked} | ({} if trail.run_id is None else {"run_id": trail.run_id})
    return [row["reference_number"] for row in fetch(trail.connection, query, parameters)]


_TABLES = """
    select schema_name || '.' || table_name as relation from duckdb_tables()
    union all
    select schema_name || '.' || view_name from duckdb_views() where not internal
"""


LAST_BUILD = "the last dbt build"


def relations(connection: Any) -> set[str]:
    """Return the tables and views of the database, each as `schema.name`."""
    return {row["relation"] for row in fetch(connection, _TABLES)}


def last_builds(connection: Any, there: set[str]) -> dict[str, Row]:
    """Return by entity what the last dbt build was made of: invocation, file, SHA-256, number of records."""
    prefix, suffix = "validation.int_", "_totals"
    entities = [name[len(prefix) : -len(suffix)] for name in there if name.startswith(prefix) and name.endswith(suffix)]
    builds = {}
    for entity in sorted(entities):
        query = f"select invocation_id, source_file, source_sha256, source_records from {prefix}{entity}{suffix}"  # noqa: S608
        for row in fetch(connection, query):
            builds[entity] = row
    return builds


def as_run(entity: str, build: Row) -> Row:
    """Return a build that no run has seen as if it were one, without an id."""
    return {
        "run_id": None,
        "mode": LAST_BUILD,
        "environment": None,
        "address": None,
        "is_closed": True,
        "has_posted": False,
        "start_time": None,
        "gate": "open",
        "stopped_because": None,
        "exit_code": None,
        "refused": None,
        "operator": None,
        "delimiter": None,
        "encoding": None,
        "entity_type": entity,
        **{name: build[name] for name in ("source_file", "source_sha256", "invocation_id")},
    }


def of_file(runs: dict[str, Row], given: str) -> list[str]:
    """Return the files that `given` can mean: that path, or else those of its name where it names no folder."""
    known = [run["source_file"] for run in runs.values() if run["source_file"]]
    # Path.resolve raises for a link that leads to itself.
    same = {given, str(Path(given).absolute()), os.path.realpath(given)}
    if exact := sorted({path for path in known if path in same}):
        return exact
    return sorted({path for path in known if Path(path).name == given})
