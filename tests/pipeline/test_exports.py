"""The two CSVs of a run: accepted and rejected together are exactly the input, and no spreadsheet runs a cell."""

import csv
import io
import stat
import tempfile
from pathlib import Path

import duckdb
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from loader.card import Card
from loader.errors import SourceRefused, StoppedEarly
from loader.landing.sql import EXPORT_COLUMNS
from loader.storage.warehouse import copy_csv
from tests.pipeline.exporting import Export, Table, card_of, exported, read
from tests.support import FIELDS, KEY_COLUMN, ROOT, filled

FOLDERS = ("data/etl_source", "data/reference", "tests/fixtures")
FIXTURES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.csv"))
COLUMNS = (KEY_COLUMN, FIELDS["title"].source_column, "code")  # some known, some not, in most of the files
RUN = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")
CELLS = [
    *["", " ", " led", "trailed ", "NULL", "\\N", "001", "a,b", 'a"b', '"', '""', "\r", "\n", "\r\n", "a\rb", "#x"],
    *["=1+1", "'=1+1", "''=1+1", "+64 1", "-", "@SUM(A1)", "\t=1", "\r=1", "\uff1d1", "\uff20", "'", "'x", " =1"],
    *["e\u0301", "\U0001f600", "\ufeff", "\u2028", "\x01", "\x7f", "; ", "{{ x }}", "$1", "%s", "\\", "\n=1"],
]
TEXTS = st.one_of(
    st.sampled_from(CELLS),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8),
    st.lists(st.sampled_from(CELLS), max_size=3).map("".join),
)
# A file that begins with U+FEFF begins with a byte order mark, which belongs to no name.
HEADERS = st.lists(TEXTS.filter(lambda name: name.strip("\ufeff\r\n")), min_size=1, max_size=4, unique=True).filter(
    lambda header: not header[0].startswith("\ufeff")
)
TABLES = HEADERS.flatmap(
    lambda header: st.lists(st.lists(TEXTS, min_size=len(header), max_size=len(header)), min_size=1, max_size=30).map(
        lambda records: [header, *records]
    )
)


def assert_together_the_input(export: Export) -> None:
    header, *records = export.table
    first, *valid = read(export.accepted)
    second, *others = read(export.rejected)
    assert first == [*header, EXPORT_COLUMNS[0]]
    assert second == [*header, *EXPORT_COLUMNS]
    assert [row[:-1] for row in valid] == [record for at, record in enumerate(records, 1) if at not in export.refused]
    assert [row[:-4] for row in others] == [record for at, record in enumerate(records, 1) if at in export.refused]


@given(TABLES, st.booleans())
@settings(max_examples=30)
@example([["only"], [""], [""], ["x"], [""]], False)
@example([["=a", "'=a", "title", "a"], ["=1", "'=1", "", "\n"], ["", "", "=x", "'"]], True)
def test_any_table_comes_out_as_it_went_in(table: Table, known: bool):
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(table)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "in.csv").write_bytes(text.getvalue().encode())
        plain = next((name for name in table[0] if known and name.isidentifier() and name.isascii()), "title")
        export = exported(folder / "in.csv", card_of(plain), folder)
        assert export.table == table
        assert_together_the_input(export)
        for path in (export.accepted, export.rejected):
            with path.open(encoding="utf-8", newline="") as file:
                assert not [cell for row in csv.reader(file) for cell in row if cell.startswith(RUN)]
            assert_given_back_it_is_the_same(path, card_of(plain), folder / f"back_{path.stem}")


def assert_given_back_it_is_the_same(path: Path, card: Card, folder: Path) -> None:
    """Land one of our files and write it again: what is corrected twice is still what the source meant."""
    header, *records = read(path)
    if not records:
        return
    folder.mkdir()
    again = exported(path, card, folder, len(records) + 1)
    ours = len([name for name in header if name in EXPORT_COLUMNS])
    accepted = [[*row[:-ours]] for row in (header, *records)]
    assert [row[:-1] for row in read(again.accepted)] == accepted
    assert len(read(again.rejected)) == 1


@pytest.mark.parametrize("source", FIXTURES, ids=lambda path: path.name)
def test_every_csv_of_the_repository_is_split_without_loss(source: Path, tmp_path: Path):
    path = tmp_path / source.name
    path.write_bytes(filled(source))
    try:
        export = exported(path, card_of(*COLUMNS), tmp_path)
    except SourceRefused:
        pytest.skip("refused as a whole: no record of it is accepted or rejected")
    assert_together_the_input(export)


def test_a_rejected_record_says_where_what_and_how_to_mend_it(tmp_path: Path):
    (tmp_path / "in.csv").write_text('title,=odd\na,b\n\n"x\ny",=1+1\nbad"one,2\n', encoding="utf-8")
    accepted, rejected, *_ = exported(tmp_path / "in.csv", card_of("title"), tmp_path)
    assert accepted.read_text(encoding="utf-8") == "title,'=odd,_line\na,b,2\n"
    assert rejected.read_text(encoding="utf-8") == (
        "title,'=odd,_line,_codes,_how_to_fix,_suggestion\n"
        "\"x\ny\",'=1+1,4,z_error; a_warning,'=wrong: now; odd: later,f: -x\n"
        '"bad""one,2",,6,z_error; a_warning,'
        '"the whole record stands in the first cell, spread it over the columns here: '
        '=wrong: now; odd: later",f: -x\n'
    )
    assert [stat.S_IMODE(path.stat().st_mode) for path in (accepted, rejected)] == [0o600, 0o600]


def test_a_rejected_file_that_comes_back_has_our_columns_once(tmp_path: Path):
    text = "a,_codes,title,_line,_suggestion,_how_to_fix,z\n1,c,T,7,s,h,2\n3,c,U,8,s,h,4\n"
    (tmp_path / "in.csv").write_text(text, encoding="utf-8")
    accepted, rejected, *_ = exported(tmp_path / "in.csv", card_of("title"), tmp_path)
    assert read(accepted) == [["a", "title", "z", "_line"], ["1", "T", "2", "2"]]
    assert read(rejected)[0] == ["a", "title", "z", *EXPORT_COLUMNS]
    assert read(rejected)[1][:4] == ["3", "U", "4", "3"]


@pytest.mark.parametrize(("records", "every", "shuffled"), [(400_000, 3, False), (260_000, 1, False), (3_000, 3, True)])
def test_the_order_of_the_file_is_kept_over_many_ranges(tmp_path: Path, records: int, every: int, shuffled: bool):
    """The accepted records, and then the rejected ones, are more than are written at once."""
    rows = "".join(f"{at},{'x' * (at % 50)}\n" for at in range(1, records + 1))
    (tmp_path / "in.csv").write_text("title,n\n" + rows, encoding="utf-8")
    export = exported(tmp_path / "in.csv", card_of("title"), tmp_path, every, shuffled=shuffled)
    assert [int(row[0]) for row in read(export.accepted)[1:]] == [at for at in range(1, records + 1) if at % every]
    assert [int(row[0]) for row in read(export.rejected)[1:]] == list(range(every, records + 1, every))


def test_a_byte_order_mark_is_written_where_the_source_has_one(tmp_path: Path):
    (tmp_path / "in.csv").write_text('"a,b"\nx\ny\n', encoding="utf-8-sig")
    files = exported(tmp_path / "in.csv", card_of("title"), tmp_path)[:2]
    assert [path.read_bytes()[:8] for path in files] == [b'\xef\xbb\xbf"a,b"', b'\xef\xbb\xbf"a,b"']


def test_records_that_another_build_has_replaced_are_not_written(tmp_path: Path):
    (tmp_path / "in.csv").write_text("title\nx\ny\n", encoding="utf-8")
    with pytest.raises(StoppedEarly, match="another dbt invocation has replaced the records of this run"):
        exported(tmp_path / "in.csv", card_of("title"), tmp_path, invocation_id="an older one")
    assert not (tmp_path / "out").exists()


def test_a_full_disk_is_an_error_of_the_operating_system():
    with (
        duckdb.connect() as connection,
        Path("/dev/full").open("wb") as file,
        pytest.raises(OSError, match="No space left on device"),
    ):
        copy_csv(connection, "select 'x' as a from range(100000)", [], file, quote_all=False)
