"""Lands a source file: the strict scan decides what is a record, DuckDB reads the cells, and both counts must agree.

Called by the landing models, so that plain `dbt build` is as safe as the command line.
"""

import json
import os
import weakref
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from loader.config import ENTITY_VARIABLE, SOURCE_VARIABLE, Settings, load_settings
from loader.errors import Refused, SourceRefused
from loader.landing.dates import Dates, dates_of_environment
from loader.landing.dialect import Dialect, dialect_of_environment
from loader.landing.handover import received
from loader.landing.returned import keep_former
from loader.landing.spool import Spooled, Spools, new_spools, spool_file
from loader.landing.sql import (
    EXPORT_COLUMNS,
    errors_query,
    is_export,
    lines_query,
    meant_names,
    numbers_query,
    records_query,
)


def land(session: Any, fields: Any, identifier: str) -> Any:
    """Return the relation for the landing model `identifier` (`raw_<entity>`).

    It is read from `ETL_SOURCE` where `ETL_ENTITY` is this entity, or is not set and there is a single one; otherwise
    from the entity's default source.

    `session` is the DuckDB connection that dbt hands to a Python model, `fields` is `contract.dim_payload_fields`.

    Raises:
        SourceRefused: the file cannot be trusted at all, or the two counts differ.
        Refused: `etl.toml`, or a variable that says how the file is written, is not acceptable.

    """
    entity = identifier.removeprefix("raw_")
    card = fields.project("entity, field_position, source_column, is_required, is_key").fetchall()
    wanted = {column: required for of, _, column, required, _ in sorted(card) if of == entity}
    key = next((column for of, _, column, _, is_key in card if of == entity and is_key), None)
    settings = load_settings()
    path, dialect, dates = _source(settings, entity, sorted({of for of, *_ in card}))
    limit = settings.source.max_record_bytes
    with ExitStack() as files:
        spooled, spools = files.enter_context(_spooled(path, dialect, settings, wanted))
        names = spooled.names
        lines = lines_query(spools.records, len(names), spooled.delimiter, limit)
        errors = errors_query(spools.errors, limit)
        _keep_source(session, spooled, dates)
        keep_former(session, entity, spooled.source_file, names, key, lines)
        _compare(session, spooled, numbers_query(lines, errors))
        relation = session.sql(records_query(names, list(wanted), lines, errors))
        # dbt reads the relation after `land` has returned it: the spools stay open as long as it is there.
        weakref.finalize(relation, files.pop_all().close)
    return relation


def _source(settings: Settings, entity: str, known: list[str]) -> tuple[Path, Dialect, Dates]:
    """Return the file of an entity, and how it is written: the variables for that are those of `ETL_SOURCE`."""
    named, of = os.environ.get(SOURCE_VARIABLE), os.environ.get(ENTITY_VARIABLE)
    if named and not of and len(known) > 1:
        raise Refused(f"{SOURCE_VARIABLE} is set, and not what it holds: export {ENTITY_VARIABLE}={' or '.join(known)}")
    if named and (of or entity) == entity:
        return Path(named), dialect_of_environment(settings), dates_of_environment(settings)
    if entity not in settings.source.default:
        raise Refused(
            f"no file of {entity}: add one to [source.default] in etl.toml, or export {SOURCE_VARIABLE}=FILE and "
            f"{ENTITY_VARIABLE}={entity}"
        )
    default = settings.source.default[entity]
    if named or (of or entity) != entity:
        return default, Dialect(), Dates()
    return default, dialect_of_environment(settings), dates_of_environment(settings)


@contextmanager
def _spooled(
    path: Path, dialect: Dialect, settings: Settings, wanted: dict[str, bool]
) -> Iterator[tuple[Spooled, Spools]]:
    """Yield the spools of the file: those that were handed over, or else its own."""
    with received() as handed, new_spools() as spools:
        yield handed or (spool_file(path, wanted, dialect, settings.source, spools), spools)


def _keep_source(session: Any, spooled: Spooled, dates: Dates) -> None:
    """Keep what is known of the file as a whole in `landed_source`."""
    columns = [name for name in meant_names(spooled.columns) if name not in EXPORT_COLUMNS]
    names = [name for name in spooled.names if name not in EXPORT_COLUMNS]
    renamed = {ours: theirs for ours, theirs in zip(names, columns, strict=True) if ours != theirs}
    session.execute(
        "create or replace temp table landed_source as select ? as source_file, ? as source_sha256, "
        "to_json(?::varchar[])::varchar as source_columns, ?::bigint as source_records, "
        "?::bigint as source_blank_lines, ?::boolean as is_export, ?::boolean as export_with_bom, "
        "? as source_profile, ?::varchar as renamed_columns, to_json(?::varchar[])::varchar as source_notices, "
        "?::varchar as delimiter, ?::varchar as date_order, ?::varchar as assume_zone, ?::boolean as is_cut, "
        "to_json(?::varchar[])::varchar as hashed_names",
        [
            spooled.source_file,
            spooled.sha256,
            columns,
            spooled.records,
            spooled.blank_lines,
            is_export(spooled.columns),
            spooled.export_with_bom,
            spooled.profile,
            json.dumps(renamed),
            list(spooled.notices),
            spooled.delimiter,
            dates.order,
            dates.zone,
            spooled.is_cut,
            sorted(names),
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
