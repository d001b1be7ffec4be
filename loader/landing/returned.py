"""A file of ours that comes back: what the reference of each line was, as the run that wrote the file has kept it."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from loader.landing.sql import FROM_EXPORT

_NOTHING = "create or replace temp table former_references (former_line bigint, former_reference varchar)"
_KEPT = "select count(*) from duckdb_tables() where schema_name = 'audit' and table_name in ('fct_records', 'fct_runs')"
_OF_RUN = """
    insert into former_references
    select line_number, any_value(reference_number) from audit.fct_records
    where run_id = ? and entity_type = ? and reference_number is not null group by line_number
"""
# A renamed file: the last run that knows all its lines, at least half of them by this reference, or by the same number,
# which is what a spreadsheet leaves of `00017`.
_LIKELY = """
    with returned as (
        select distinct try_cast({line} as bigint) as line_number, {key} as reference from ({lines})
    ),
    last_runs as (
        select run_id, coalesce(sequence, rowid) as place from audit.fct_runs
        where entity_type = ? order by place desc limit 20
    )
    select run_id
    from last_runs inner join audit.fct_records as kept using (run_id)
        inner join returned on kept.line_number = returned.line_number
    group by run_id, place
    having count(*) >= (select count(line_number) from returned) and 2 * count(*) filter (
        where kept.reference_number = reference
            or abs(try_cast(kept.reference_number as double) / try_cast(reference as double) - 1) < 1e-4
    ) >= count(kept.reference_number)
    order by place desc limit 1
"""


def keep_former(session: Any, entity: str, file: str, names: Sequence[str], key: str | None, lines: str) -> None:
    """Keep in `former_references` what the references of the file's lines were; nothing for a file that is not ours.

    `names` are the columns of the file, `key` the one of the reference, `lines` the query of its records.
    """
    session.execute(_NOTHING)
    if FROM_EXPORT not in names or key not in names or session.execute(_KEPT).fetchone() != (2,):
        return
    written = re.search(rf"(?:accepted|rejected)_{entity}_(\d{{8}}T\d{{6}}Z-[0-9a-f]+)", Path(file).name)
    run = written[1] if written else None
    if not run:
        cells = {"line": f"cell_{names.index(FROM_EXPORT)}", "key": f"trim(cell_{names.index(key)})", "lines": lines}
        found = session.execute(_LIKELY.format(**cells), [entity]).fetchone()
        run = found[0] if found else None
    if run:
        session.execute(_OF_RUN, [run, entity])
