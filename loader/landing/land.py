"""Lands a source file: the strict scan decides what is a record, DuckDB reads the cells, and both counts must agree.

Called by the landing models, so that plain `dbt build` is as safe as the command line.
"""

import os
import weakref
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from loader.config import SOURCE_VARIABLE, load_settings
from loader.errors import SourceRefused
from loader.landing.dialect import dialect_of_environment
from loader.landing.handover import received
from loader.landing.spool import Spooled, Spools, new_spools, spool_file
from loader.landing.sql import (
    EXPORT_COLUMNS,
    Columns,
    errors_query,
    is_export,
    lines_query,
    meant_names,
    numbers_query,
    records_query,
)


def land(session: Any, fields: Any, identifier: str) -> Any:
    """Return the relation for the landing model `identifier` (`raw_<entity>`), read from `ETL_SOURCE`.

    Args:
        session: the DuckDB connection that dbt hands to a Python model.
        fields: relation of `contract.dim_payload_fields`.
        identifier: name of the landing model, which names the entity.

    Raises:
        SourceRefused: the file cannot be trusted at all, or the two counts differ.
        Refused: `etl.toml`, `ETL_DELIMITER` or `ETL_ENCODING` is not acceptable.

    """
    entity = identifier.removeprefix("raw_")
    card = fields.project("entity, field_position, source_column, is_required").fetchall()
    wanted = {column: required for of, _, column, required in sorted(card) if of == entity}
    limit = load_settings().limits.max_record_bytes
    with ExitStack() as files:
        spooled, spools = files.enter_context(_spooled(wanted))
        columns = Columns.matched(meant_names(spooled.columns), list(wanted), dialect_of_environment().delimiter)
        lines, errors = lines_query(spools.records, columns, limit), errors_query(spools.errors, limit)
        _keep_source(session, spooled)
        _compare(session, spooled, numbers_query(lines, errors))
        relation = session.sql(records_query(columns, lines, errors))
        # dbt reads the relation after `land` has returned it: the spools stay open as long as it is there.
        weakref.finalize(relation, files.pop_all().close)
    return relation


@contextmanager
def _spooled(wanted: dict[str, bool]) -> Iterator[tuple[Spooled, Spools]]:
    """Yield the spools of the file: those that were handed over, or else its own."""
    with received() as handed:
        if handed:
            yield handed
            return
        settings = load_settings()
        path = Path(os.environ.get(SOURCE_VARIABLE) or settings.default_source)
        with new_spools() as spools:
            yield spool_file(path, wanted, dialect_of_environment(), settings.limits, spools), spools


def _keep_source(session: Any, spooled: Spooled) -> None:
    """Keep what there is to know of the file as a whole in `landed_source`."""
    session.execute(
        "create or replace temp table landed_source as select ? as source_file, ? as source_sha256, "
        "to_json(?::varchar[])::varchar as source_columns, ?::bigint as source_records, "
        "?::bigint as source_blank_lines, ?::boolean as is_export, ?::boolean as export_with_bom",
        [
            spooled.source_file,
            spooled.sha256,
            [name for name in meant_names(spooled.columns) if name not in EXPORT_COLUMNS],
            spooled.records,
            spooled.blank_lines,
            is_export(spooled.columns),
            spooled.export_with_bom,
        ],
    )


def _compare(session: Any, spooled: Spooled, numbers: str) -> None:
    """Refuse the file when DuckDB reads other record numbers from the spools than the scan has given: 1, 2, 3, ..."""
    (read,) = session.execute(numbers).fetchall()
    last = spooled.records
    if read != (last, last * (last + 1) // 2, last):
        raise SourceRefused(
            f"{spooled.source_file}: the scan counts {last} records, DuckDB {read[0]} up to number {read[2]}, their "
            f"numbers add up to {read[1]}; nothing was landed: report this file"
        )
