"""The SQL of landing. Only the card's names, positions and numbers are in it: never text of a file or of its name."""

import os
import re
from collections.abc import Sequence
from typing import IO

# The columns that our CSV files add to the original ones, the first to both, the others to the rejected records. A
# source file with any of them is one of ours.
FROM_EXPORT = "_line"
EXPORT_COLUMNS = (FROM_EXPORT, "_codes", "_how_to_fix", "_suggestion")
# What a spreadsheet would run. Such a text gets one more apostrophe in front in our CSV files; one is taken away when
# such a file is the source. The apostrophes that are in front already are counted in, so this is reversible.
FORMULA = "^'*[=+\\-@\t\r\uff1d\uff0b\uff0d\uff20]"
GUARDED = FORMULA.replace("*", "+", 1)
# The identity of a record: the SHA-256 of its header's names and its cells, both as JSON and in the order of the names,
# so that neither their order in the file, nor the quoting, nor the card matters; of a malformed record, that of its
# text. The number is that of this rule, because hashes by another one cannot be compared with these.
_HASH = "'v2:' || sha256({})"


def is_export(names: Sequence[str]) -> bool:
    """Tell whether a file with these columns is one of our CSV files."""
    return any(name in EXPORT_COLUMNS for name in names)


def meant_names(names: list[str]) -> list[str]:
    """Return the names of a header as the source had them: those of our own files without our apostrophes."""
    restored = [name[1:] if re.match(GUARDED, name) else name for name in names]
    return restored if is_export(names) and len(set(restored)) == len(names) else names


def lines_query(spools: Sequence[IO[bytes]], width: int, delimiter: str, max_record: int) -> str:
    """Return the query over the spools of well-formed records of so many cells, in their order."""
    types = {"record_number": "BIGINT", "lines_ahead": "BIGINT"}
    types |= {f"cell_{at}": "VARCHAR" for at in range(width)}
    # Quotes are doubled in the spool.
    return f"select * from {_read_csv(spools, delimiter, types, 2 * max_record)}"  # noqa: S608 - our own text


def errors_query(spool: IO[bytes], max_record: int) -> str:
    """Return the query over the spool of malformed records."""
    types = {"record_number": "BIGINT", "line_number": "BIGINT", "parse_error": "VARCHAR", "cell_count": "BIGINT"}
    types["raw_record"] = "VARCHAR"
    # A byte that is not UTF-8 is shown as four signs.
    return f"select * from {_read_csv([spool], ',', types, 4 * max_record)}"  # noqa: S608 - our own text


def numbers_query(lines: str, errors: str) -> str:
    """Return the query of what the record numbers in both come to: their count, sum and maximum."""
    return (
        "select count(*), sum(record_number), max(record_number) "  # noqa: S608 - our own text
        f"from (select record_number from ({lines}) union all select record_number from ({errors}))"
    )


def records_query(names: Sequence[str], wanted: Sequence[str], lines: str, errors: str) -> str:
    """Return the query of the landing model over these two: one row per record, malformed ones last.

    `names` are the columns of the file, `wanted` the source columns of the card.
    """
    cells = {name: f"cell_{at}" for at, name in enumerate(names)}
    given = sorted(cells.keys() - {*EXPORT_COLUMNS})
    texts = ", ".join(_given(cells[name], names) for name in given)
    others = "[" + ", ".join(cells[name] for name in given if name not in wanted) + "]::varchar[]"
    landed = "".join(f', {cells.get(name, "null::varchar")} as "{name}"' for name in wanted)
    blank = "".join(", null::varchar" for _ in wanted)
    former, join = former_columns(names)
    return f"""
        select
            landed_source.* exclude (hashed_names), record_number, record_number + lines_ahead as line_number,
            {_HASH.format(f"hashed_names || json_array({texts})::varchar")} as record_hash,
            null::varchar as parse_error, {len(names)}::bigint as cell_count, null::varchar as raw_record,
            {others} as other_cells, {former} {landed}
        from ({lines}) cross join landed_source {join}
        union all
        select
            landed_source.* exclude (hashed_names), record_number, line_number, {_HASH.format("raw_record")},
            parse_error, cell_count, raw_record, null::varchar[], null::bigint, null::varchar {blank}
        from ({errors}) cross join landed_source
    """  # noqa: S608 - only our own names and numbers


def former_columns(names: Sequence[str]) -> tuple[str, str]:
    """Return the columns of what a line was in the file that ours was made of, as SQL, and the join that has them."""
    if FROM_EXPORT not in names:
        return "null::bigint as former_line, null::varchar as former_reference", ""
    line = f"try_cast(cell_{names.index(FROM_EXPORT)} as bigint)"
    return "former_line, former_reference", f"left join former_references on former_line = {line}"


def _given(cell: str, names: Sequence[str]) -> str:
    """Return a cell as the source had it: one of our own files without our apostrophe."""
    if not is_export(names):
        return cell
    guarded = GUARDED.replace("'", "''")
    return f"if(regexp_matches({cell}, '{guarded}'), substring({cell}, 2), {cell})"


def _read_csv(spools: Sequence[IO[bytes]], delimiter: str, types: dict[str, str], most: int) -> str:
    sizes = {spool.fileno(): os.fstat(spool.fileno()).st_size for spool in spools}
    # An empty file is not worth opening, but there has to be one.
    numbers = [number for number, size in sizes.items() if size] or list(sizes)[:1]
    # A buffer holds several records.
    max_line = min(most, max(sizes.values())) + 1024
    files = ", ".join(f"'/dev/fd/{number}'" for number in numbers)
    columns = ", ".join(f"'{name}': '{type_}'" for name, type_ in types.items())
    texts = ", ".join(f"'{name}'" for name, type_ in types.items() if type_ == "VARCHAR")
    return f"""
        read_csv(
            [{files}], auto_detect = false, header = false, delim = '{delimiter}', quote = '"', escape = '"',
            comment = '', strict_mode = true, null_padding = false, parallel = false, new_line = '\\n',
            force_not_null = [{texts}], max_line_size = {max_line}, buffer_size = {4 * max_line},
            columns = {{{columns}}}
        )
    """
