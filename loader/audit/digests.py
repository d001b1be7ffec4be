"""What the rows of `audit` belong to: a run, a dbt invocation or a receipt; and the fingerprint of the rows of each."""

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, NamedTuple

from loader.audit.journal import now
from loader.errors import StoppedEarly
from loader.storage.warehouse import ATTACHED, TEXTS, Row, copy_rows, fetch, in_bulk, literal, quoted

RUN, INVOCATION, RECEIPT = "run", "invocation", "receipt"
# Notes that a run was open when others were sealed; its rows are sealed when it is closed.
OPEN_RUN = "open run"
SEALS = "fct_seals"
# The column that says what a row belongs to: the first of these that its table has.
ID_COLUMNS = {"run_id": RUN, "invocation_id": INVOCATION, "receipt_id": RECEIPT}
_PIECE, _LINE_BYTES, _ROWS_IN_MEMORY = 50_000, 65, 50_000
_TABLES = """
    select table_name, list(column_name order by column_name) as columns
    from duckdb_columns() semi join duckdb_tables() using (database_oid, schema_oid, table_oid)
    where database_name in (?, current_database()) and schema_name = 'audit'
        and table_name like 'fct\\_%' escape '\\'
    group by table_name order by table_name
"""
# A run that began to post and has no row of `fct_runs` is closed by the next import: until then it is open. A probe of
# its own writes its rows without the run lock, one table after the other: for a while it is settling.
_SUBJECTS = """
    with runs as (
        select run_id, min(event_time) as began, max(event_time) as ended,
            min(event_time) filter (action = 'posting_started') as opened
        from audit.fct_run_events group by run_id
    ),
    probes as (
        select run_id, min(checked_at) as began, max(checked_at) as ended
        from audit.fct_probe_checks anti join runs using (run_id) group by run_id
    ),
    closings as (
        select try_cast(details as json) ->> 'unfinished_run_id' as run_id, min(event_time) as closed_at
        from audit.fct_run_events where action = 'unfinished_run_closed' group by all
    )
    select 'run' as kind, run_id as subject_id, began, ended, opened, closed_at,
        opened is not null and run_id not in (select run_id from audit.fct_runs where run_id is not null) as is_open,
        false as is_settling
    from runs left join closings using (run_id)
    union all
    select 'run', run_id, began, ended, null, null, false, ended > $now - interval 5 minute from probes
    union all
    select 'invocation', invocation_id, min(started_at), max(finished_at), null, null, false, false
    from audit.fct_dbt_invocations group by invocation_id
    union all
    select 'receipt', receipt_id, min(pruned_at), max(pruned_at), null, null, false, false
    from audit.fct_receipts group by receipt_id
"""


class Subject(NamedTuple):
    """What rows belong to; `id` is None for rows that do not say."""

    kind: str
    id: str | None

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"


class Table(NamedTuple):
    """An audit table: its name, its columns by name, and the one that says what a row belongs to, if there is one."""

    name: str
    columns: list[str]
    id_column: str | None

    @property
    def relation(self) -> str:
        """Return its name in SQL."""
        return f"audit.{quoted(self.name)}"


# For each table with rows of a subject: {"rows": their number, "sha256": of the sorted SHA-256 of each}.
Content = dict[str, dict[str, Any]]


def audit_tables(connection: Any) -> list[Table]:
    """Return every `fct_` table of `audit` but the seals themselves, from the database's own catalogue."""
    return [
        Table(row["table_name"], row["columns"], next((name for name in ID_COLUMNS if name in row["columns"]), None))
        for row in fetch(connection, _TABLES, [ATTACHED])
        if row["table_name"] != SEALS
    ]


def subjects(connection: Any) -> dict[Subject, Row]:
    """Return every run, probe, invocation and receipt: began, ended (UTC) and its state.

    `opened`: when it began to post. `is_open`: the next import closes it. `closed_at`: when another run did.
    `is_settling`: its rows may not all be there yet.
    """
    found = fetch(connection, _SUBJECTS, {"now": now()})
    return {Subject(row["kind"], row["subject_id"]): row for row in found}


def contents(
    connection: Any,
    tables: Sequence[Table],
    only: Sequence[Subject] | None = None,
    rows_in_memory: int = _ROWS_IN_MEMORY,
) -> dict[Subject, Content]:
    """Return what `tables` that say what their rows belong to have of every subject, or of those in `only`."""
    found: dict[Subject, Content] = {}
    for table in tables:
        if table.id_column:
            kind = ID_COLUMNS[table.id_column]
            ids = None if only is None else [subject.id for subject in only if subject.kind == kind]
            for row in _of_table(connection, table, ids, rows_in_memory):
                content = {"rows": row["rows"], "sha256": row["sha256"]}
                found.setdefault(Subject(kind, row["id"]), {})[table.name] = content
    return found


def _of_table(connection: Any, table: Table, ids: Sequence[str | None] | None, rows_in_memory: int) -> Iterator[Row]:
    """Yield the id, the number of rows and the fingerprint of each subject of a table.

    DuckDB hashes and sorts. Few hashes it puts together itself; many it writes to a file, sorted on all cores, and on
    the disk where the memory does not do. One digest after the other is taken of that file here.

    A row is hashed as its columns that are not null, by name: a column that a later version adds changes no hash.
    """
    cells = ", ".join(
        f"if({cell} is null, '', {literal(f'{name}:')}), strlen({cell}::varchar), "
        f"if({cell} is null, '', ':'), {cell}::varchar"
        for name, cell in zip(table.columns, map(quoted, table.columns), strict=True)
    )
    condition, parameters = "", []
    if ids is not None:
        condition, parameters = f"where {table.id_column} in (select unnest({TEXTS}))", [in_bulk(ids)]
    rows = f"from {table.relation} {condition}"
    hashes = f"(select {table.id_column} as id, sha256(concat({cells})) as row_hash {rows})"
    counts = f"select {table.id_column} as id, count(*) as rows {rows} group by id order by id"
    counted = fetch(connection, counts, parameters)
    if sum(row["rows"] for row in counted) <= rows_in_memory:
        digest = "count(*) as rows, sha256(string_agg(row_hash, '' order by row_hash)) as sha256"
        yield from fetch(connection, f"select id, {digest} from {hashes} group by id order by id", parameters)  # noqa: S608
        return
    try:
        with tempfile.TemporaryFile() as file:
            order = "row_hash" if len(counted) == 1 else "id, row_hash"
            sorted_hashes = f"select row_hash from {hashes} order by {order}"  # noqa: S608
            copy_rows(connection, sorted_hashes, parameters, file, "format csv, header false")
            file.seek(0)
            for row in counted:
                yield row | {"sha256": _digest(file, row["rows"])}
    except OSError as error:
        raise StoppedEarly(
            f"{tempfile.gettempdir()}: cannot be written ({error.strerror or error}); free it, or set TMPDIR, "
            "then run the same command again"
        ) from error


def _digest(file: BinaryIO, rows: int) -> str:
    """Return the SHA-256 of the next hashes in a file, each on a line of its own."""
    digest = hashlib.sha256()
    while rows:
        piece = min(rows, _PIECE)
        digest.update(file.read(piece * _LINE_BYTES).replace(b"\n", b""))
        rows -= piece
    return digest.hexdigest()
