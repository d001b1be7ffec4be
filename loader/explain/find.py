"""Finds what `explain` is asked for: the sightings of a record, one for each run and line that has it."""

import os
import re
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from loader.audit.runs import KnownRun, read_runs, under_way
from loader.console import shown
from loader.errors import NotFound, Refused
from loader.storage.warehouse import TEXTS, Row, Warehouse, fetch, in_bulk

LAST_BUILD = "the last dbt build"
_TOTALS = re.compile(r"validation\.int_(\w+)_totals")
_LINE = re.compile(r"(?s)(.+):([0-9]{1,15})\Z")
_RELATIONS = "select distinct schema_name || '.' || table_name as relation from duckdb_columns() where not internal"
_NEAREST = """
    select reference_number from ({sources}) as known
    where reference_number is not null
    group by reference_number
    having jaro_winkler_similarity(lower(reference_number), lower($asked)) >= 0.8
    order by jaro_winkler_similarity(lower(reference_number), lower($asked)) desc, reference_number limit 3
"""
_BEGUN_LAST = """
    line_number <= $line and run_id is not distinct from $of
    qualify row_number() over (order by line_number desc, record_number desc) = 1
"""


@dataclass(frozen=True)
class Record:
    """A record as one run read it, or for None a dbt build that no run has read: a row of `audit.fct_records`."""

    run_id: str | None
    entity_type: str
    record_number: int
    line_number: int
    reference_number: str | None
    record_hash: str
    status: str
    exception_reason: str | None


_DIGEST = "select digest from audit.fct_dbt_payloads where invocation_id = ? and entity_type = ?"
_OF_BUILD = ", ".join(field.name for field in fields(Record)[2:])


@dataclass(frozen=True)
class Search:
    """Where a record is looked for: in all that `entity` and `run_id` do not leave out; None leaves nothing out.

    By entity, `last_builds` are the rows of the totals of the last dbt builds, `unread` those of them that no run has
    read, and `payloads` the relations of the payload. `relations` are all of the database, each as `schema.name`.
    """

    connection: Any
    warehouse: Warehouse
    runs: dict[str, KnownRun]
    last_builds: dict[str, Row]
    unread: dict[str, KnownRun]
    payloads: dict[str, str]
    relations: set[str]
    entity: str | None
    run_id: str | None
    _tested: dict[str, bool] = field(default_factory=dict)

    def run_of(self, record: Record) -> KnownRun:
        """Return the run that read a record, or the build."""
        return self.runs[record.run_id] if record.run_id else self.unread[record.entity_type]

    def is_as_tested(self, entity: str, invocation_id: str | None) -> bool:
        """Tell whether the payload of an entity has the rows that this build has tested, by the digest in `audit`."""
        if entity not in self._tested:
            tested = fetch(self.connection, _DIGEST, [invocation_id, entity])
            (now,) = fetch(self.connection, "select digest from contract.payload_digest(?)", [self.payloads[entity]])
            self._tested[entity] = all(row["digest"] in (None, now["digest"]) for row in tested)
        return self._tested[entity]

    def sources(self) -> list[str]:
        """Return the queries over the records; the first is that of all runs."""
        narrowed = "" if self.run_id is None else "and run_id = $run_id"
        audit = f"select run_id, entity_type, {_OF_BUILD} from audit.fct_records where true {narrowed}"  # noqa: S608
        if self.run_id is not None:
            return [audit]
        # The names of our own models, from the catalogue of the database.
        return [audit] + [
            f"select null as run_id, '{entity}' as entity_type, {_OF_BUILD} "  # noqa: S608
            f"from validation.int_{entity}_records"
            for entity in self.unread
        ]

    def records(self, condition: str, **parameters: Any) -> list[Record]:
        """Return the records that fulfil a condition, in the order in which the runs were written."""
        entity = "" if self.entity is None else "and entity_type = $entity"
        given = {"run_id": self.run_id, "entity": self.entity} | parameters
        found = []
        for source in self.sources():
            query = (
                f"select * from ({source}) as records where true {entity} and {condition} "  # noqa: S608
                "order by record_number"
            )
            used = {name: value for name, value in given.items() if f"${name}" in query}
            found += [Record(**row) for row in fetch(self.connection, query, used)]
        places = {run: place for place, run in enumerate([*self.runs, None])}
        return sorted(found, key=lambda record: places[record.run_id])


def open_search(connection: Any, warehouse: Warehouse, entity: str | None, run_id: str | None) -> Search:
    """Return where to look; raise Refused where there is no such run."""
    runs, relations = read_runs(connection), {row["relation"] for row in fetch(connection, _RELATIONS)}
    if run_id is not None and run_id not in runs:
        newest = f"; the last one is {next(reversed(runs))}" if runs else ""
        raise Refused(f"no run {run_id!r} among the {len(runs)} of {shown(warehouse.path)}{newest}")
    process, running = under_way(runs, warehouse.path)
    if running and running.run_id:
        runs[running.run_id] = replace(running, process=process)
    builds: dict[str, Row] = {}
    for name in sorted(relations):
        if total := _TOTALS.fullmatch(name):
            query = f"select invocation_id, source_file, source_sha256 from {name}"  # noqa: S608 - a name of our own models
            builds |= [(total[1], row) for row in fetch(connection, query)]
    seen = {run.invocation_id for run in runs.values()}
    unread = {
        of: KnownRun(None, LAST_BUILD, of, None, build["source_file"], build["source_sha256"], build["invocation_id"])
        for of, build in builds.items()
        if build["invocation_id"] not in seen and entity in (None, of)
    }
    entities = "select entity, payload_relation from contract.dim_entities"
    payloads = dict(connection.execute(entities).fetchall()) if "contract.dim_entities" in relations else {}
    return Search(connection, warehouse, runs, builds, unread, payloads, relations, entity, run_id)


def find(search: Search, asked: str) -> tuple[Record, bool]:
    """Return a record with this reference; or that of `FILE:LINE` in the last run that read the file, and True.

    Raises NotFound, which names the nearest references, or Refused where several files have that name.
    """
    for reference in dict.fromkeys((asked, asked.strip())):
        if found := search.records("reference_number = $reference", reference=reference):
            return found[0], False
    if line := _LINE.match(asked):
        return _at_line(search, line[1], int(line[2])), True
    raise _not_found(search, asked)


def _at_line(search: Search, given: str, line: int) -> Record:
    runs = search.runs | {f"build {entity}": build for entity, build in search.unread.items()}
    known = sorted({run.source_file for run in runs.values() if run.source_file})
    # Path.resolve raises for a link that leads to itself.
    same = (given, str(Path(given).absolute()), os.path.realpath(given))
    # That path, or else those of its name where it names no folder.
    paths = [path for path in known if path in same] or [path for path in known if Path(path).name == given]
    if not paths:
        raise _not_found(search, f"{given}:{line}", given)
    if len({shown(path) for path in paths}) > 1:
        listed = ", ".join(shown(path) for path in paths)
        raise Refused(f"{given} is the name of {len(paths)} files that were read: {listed}; give the path of one")
    of_path = {run.run_id for run in runs.values() if run.source_file in paths}
    if search.run_id is not None and search.run_id not in of_path:
        raise NotFound(f"run {search.run_id} has not read {given}: it read {search.runs[search.run_id].source_file}")
    newest = search.run_id
    # A build that no run has seen is newer than every run, and has no id.
    if newest is None and None not in of_path:
        query = f"select distinct run_id from audit.fct_records where list_contains({TEXTS}, run_id)"  # noqa: S608
        read = {row["run_id"] for row in fetch(search.connection, query, [in_bulk(list(of_path))])}
        newest = next((run for run in reversed(search.runs) if run in read), "")
    if begun := search.records(_BEGUN_LAST, line=line, of=newest):
        return begun[0]
    raise NotFound(f"{given}:{line} is the header, or a blank line below it; the records begin after it")


def _not_found(search: Search, asked: str, unread: str | None = None) -> NotFound:
    """Return the error for a reference, or for a line of the file `unread`, which no run has read."""
    (counted,) = fetch(
        search.connection, "select count(*) as records, count(distinct run_id) as runs from audit.fct_records"
    )
    where = f"looked through {counted['records']:,} records of {counted['runs']:,} runs in audit.fct_records"
    for entity, build in search.unread.items():
        file = shown(build.source_file or "no file")
        where += f", and through validation.int_{entity}_records of the last dbt build, on {file}"
    narrowed = "" if search.run_id is None else f", of run {search.run_id} alone"
    what = f"no run has read {unread}, and no record has the reference" if unread else "no record"
    sources = " union all ".join(f"select reference_number from ({source}) as records" for source in search.sources())  # noqa: S608
    parameters = {"asked": asked} | ({} if search.run_id is None else {"run_id": search.run_id})
    nearest = [
        row["reference_number"] for row in fetch(search.connection, _NEAREST.format(sources=sources), parameters)
    ]
    hint = f"the nearest: {', '.join(repr(name) for name in nearest)}" if nearest else "no reference is like it"
    return NotFound(f"{what} {asked!r}: {where}{narrowed} ({shown(search.warehouse.path)}); {hint}")
