"""The SQL of landing. Only the card's names, positions and numbers are in it: never text of a file or of its name."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Columns:
    """How the file's columns meet the card's: 0-based positions in the file, by source column and for the others.

    `hashed` are those of all columns but what our exports have added, in the order of their names.
    """

    names: list[str]
    known: dict[str, int | None]
    others: list[int]
    hashed: list[int]
    delimiter: str

    @classmethod
    def matched(cls, names: list[str], wanted: list[str], delimiter: str) -> "Columns":
        """Return the columns of a file with these names; `wanted` are the card's source columns."""
        positions = {name: position for position, name in enumerate(names)}
        given = sorted(name for name in names if name not in EXPORT_COLUMNS)
        known = {name: positions.get(name) for name in wanted}
        others, hashed = [positions[name] for name in given if name not in wanted], [positions[name] for name in given]
        return cls(names, known, others, hashed, delimiter)


def is_export(names: Sequence[str]) -> bool:
    """Tell whether a file with these columns is one of our CSV files."""
    return any(name in EXPORT_COLUMNS for name in names)


def meant_names(names: list[str]) -> list[str]:
    """Return the names of a header as the source had them: those of our own files without our apostrophes."""
    restored = [name[1:] if re.match(GUARDED, name) else name for name in names]
    return restored if is_export(names) and len(set(restored)) == len(names) else names


def lines_query(spools: Sequence[IO[bytes]], columns: Columns, max_record: int) -> str:
    """Return the query over the spools of well-formed records, in their order."""
    types = {"record_number": "BIGINT", "lines_ahead": "BIGINT"}
    types |= {f"cell_{at}": "VARCHAR" for at in range(len(columns.names))}
    # Quotes are doubled in the spool.
    return f"select * from {_read_csv(spools, columns.delimiter, types, 2 * max_record)}"  # noqa: S608 - our own text


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


def records_query(columns: Columns, lines: str, errors: str) -> str:
    """Return the query of the landing model over these two: one row per record, malformed ones last."""
    cells = {name: "null::varchar" if at is None else f"cell_{at}" for name, at in columns.known.items()}
    others = "[" + ", ".join(f"cell_{at}" for at in columns.others) + "]::varchar[]"
    landed = "".join(f', {cell} as "{name}"' for name, cell in cells.items())
    blank = "".join(", null::varchar" for _ in cells)
    texts = ", ".join(_given(f"cell_{at}", columns) for at in columns.hashed)
    return f"""
        select
            landed_source.* exclude (hashed_names), record_number, record_number + lines_ahead as line_number,
            {_HASH.format(f"hashed_names || json_array({texts})::varchar")} as record_hash,
            null::varchar as parse_error, {len(columns.names)}::bigint as cell_count, null::varchar as raw_record,
            {others} as other_cells {landed}
        from ({lines}) cross join landed_source
        union all
        select
            landed_source.* exclude (hashed_names), record_number, line_number, {_HASH.format("raw_record")},
            parse_error, cell_count, raw_record, null::varchar[] {blank}
        from ({errors}) cross join landed_source
    """  # noqa: S608 - only our own names and numbers


def _given(cell: str, columns: Columns) -> str:
    """Return a cell as the source had it: one of our own files without our apostrophe."""
    if not is_export(columns.names):
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
