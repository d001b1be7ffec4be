"""The spools: how records are shared out to the files that DuckDB reads side by side, and what it makes of them."""

from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import duckdb
import pytest

from loader.config import load_settings
from loader.landing.dialect import Dialect
from loader.landing.land import land
from loader.landing.spool import ROW_GROUP, new_spools, spool_file
from tests.pipeline.landing import CARD, NAMES

BAD = "x,y"


def written(folder: Path, records: Sequence[str]) -> Path:
    path = folder / "export.csv"
    path.write_text("\n".join([",".join(NAMES), *records]) + "\n")
    return path


def spooled(path: Path) -> list[list[int]]:
    """Spool the file; return the record numbers that each spool holds."""
    with new_spools() as spools:
        spool_file(path, dict.fromkeys(NAMES, True), Dialect(), load_settings().source, spools)
        shares = [[int(line.partition(b",")[0]) for line in file] for file in spools.records]
    return [numbers for numbers in shares if numbers]


def test_a_spool_ends_with_a_row_group(tmp_path: Path):
    records = [f"EXT-{number},{'t' * 40},Bay" for number in range(3 * ROW_GROUP)]
    records[7] = records[ROW_GROUP] = BAD
    shares = spooled(written(tmp_path, records))
    assert [len(numbers) for numbers in shares] == [ROW_GROUP, ROW_GROUP, ROW_GROUP - 2]
    malformed = {8, ROW_GROUP + 1}
    assert list(chain(*shares)) == [number for number in range(1, len(records) + 1) if number not in malformed]


def test_long_records_are_shared_out_by_their_bytes(tmp_path: Path):
    path = written(tmp_path, [f"EXT-{number},{'t' * 5000},Bay" for number in range(6000)])
    shares = spooled(path)
    assert list(chain(*shares)) == list(range(1, 6001))
    # 30 MB; each takes twice the least share, 8 MB, and what is left of a piece of a megabyte.
    assert len(shares) == 4
    assert max(map(len, shares)) < 1900


@pytest.mark.parametrize("delimiter", [",", "%"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_a_spool_has_each_record_as_it_stands_after_its_number_and_how_far_its_line_is_ahead(
    tmp_path: Path, delimiter: str, line_end: str
):
    path, cell = tmp_path / "export.csv", f'"{line_end}100 %d""{line_end}"'
    records = [
        delimiter.join(cells) for cells in (("1", "a", "b"), ("2", cell, '"%s"'), ("3", "c", cell), ("4", "", ""))
    ]
    path.write_bytes(
        "".join(line + line_end for line in [delimiter.join(NAMES), *records[:2], "", *records[2:]]).encode()
    )
    with new_spools() as spools:
        spool_file(path, dict.fromkeys(NAMES, True), Dialect(delimiter), load_settings().source, spools)
        written_bytes = spools.records[0].read()
    ahead = (1, 1, 4, 6)
    lines = [delimiter.join((str(at), str(ahead[at - 1]), record)) for at, record in enumerate(records, 1)]
    assert written_bytes == ("\n".join(lines) + "\n").encode()


def test_a_row_group_that_ends_within_a_piece_changes_no_number(tmp_path: Path):
    """Every second record has two lines, and the others are of a size with which no piece ends as a row group does."""
    records = [f'EXT-{number},"{"t" * 37}{chr(10) * (number % 2)}",Bay' for number in range(2 * ROW_GROUP)]
    with new_spools() as spools:
        path = written(tmp_path, records)
        spool_file(path, dict.fromkeys(NAMES, True), Dialect(), load_settings().source, spools)
        texts = [text for file in spools.records if (text := file.read().decode())]
    assert [text.count(",Bay\n") for text in texts] == [ROW_GROUP, ROW_GROUP]
    lines = [f"{at + 1},{1 + at // 2},{record}\n" for at, record in enumerate(records)]
    assert "".join(texts) == "".join(lines)


def test_a_small_file_takes_one_spool(tmp_path: Path):
    assert spooled(written(tmp_path, ["1,a,b", "2,a,b", BAD])) == [[1, 2]]


def test_the_next_writer_has_nothing_to_merge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = written(tmp_path, [f"EXT-{number},{'t' * 80},Bay" for number in range(3 * ROW_GROUP + 100)])
    monkeypatch.setenv("ETL_SOURCE", str(path))
    monkeypatch.setenv("ETL_ENTITY", "incident")
    database = tmp_path / "etl.duckdb"
    with duckdb.connect(database) as session:
        land(session, session.sql(CARD), "raw_incident").create("raw")
    before = row_groups(database)
    with duckdb.connect(database) as session:
        session.execute("create table another as select 1 as number")
    assert row_groups(database) == before
    # As few as there can be. On a busy machine DuckDB puts the last block of a full group into the one that is not.
    assert (len(before), sum(before)) == (4, 3 * ROW_GROUP + 100)


def row_groups(database: Path) -> list[int]:
    with duckdb.connect(database, read_only=True) as session:
        query = """
            select sum(count)::bigint from pragma_storage_info('raw')
            where column_name = 'record_number' and segment_type <> 'VALIDITY'
            group by row_group_id order by row_group_id
        """
        return [rows for (rows,) in session.execute(query).fetchall()]
