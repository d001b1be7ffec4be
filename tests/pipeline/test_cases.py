"""Small files as people export them: each is said to be what it is. Enums and titles have tests of their own."""

from pathlib import Path

import pytest

from loader.config import load_settings
from loader.errors import SourceRefused
from loader.landing.dialect import Dialect
from loader.landing.source import check_source
from tests.pipeline.test_codes import Pipeline, pipeline  # noqa: F401 - a fixture
from tests.support import CARD, FIXTURES

CASES = FIXTURES / "cases"
READ = {
    "swallow": [("2", "swallowed_record")],
    "mojibake": [("2", "mojibake"), ("2", "mojibake")],
    "footer": [("6", "not_a_record"), ("7", "not_a_record"), ("8", "blank_record")],
    "cut": [("3", "cut_off")],
    "trail2": [],
    "sevlevel": [],
}
REFUSED = {
    "cp1251": ["--encoding cp1251 'ZX-1,Лестница", "--encoding cp1253 '"],
    "macroman": ["--encoding mac-roman 'ZX-1,Échelle", "--encoding cp1252 '"],
    "crcrlf": ["CR CR LF"],
    "comma_space_hdr": ["a blank stands before the quote of column 2"],
    "line_quoted": ["each line is quoted as one cell"],
    "semi_quoted_foreign": ["--delimiter semicolon", CARD.fields[0].source_column],
    "utf16_nobom_semi": ["--encoding utf-16-le --delimiter semicolon"],
}


@pytest.mark.parametrize("case", READ)
def test_what_is_read_is_named(
    pipeline: Pipeline,  # noqa: F811 - a fixture
    monkeypatch: pytest.MonkeyPatch,
    case: str,
):
    pipeline.validate(CARD.entity, CASES / f"{case}.csv", monkeypatch)
    assert [(issue["line_number"], issue["code"]) for issue in pipeline.issues()] == READ[case]


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_is_named(case: str):
    with pytest.raises(SourceRefused) as refused:
        check_source(CASES / f"{case}.csv", CARD.source_columns, Dialect(), load_settings().source)
    assert [part for part in REFUSED[case] if part not in str(refused.value)] == []


def test_the_dates_of_a_file_are_named_each_and_judged_as_a_whole(
    pipeline: Pipeline,  # noqa: F811 - a fixture
    monkeypatch: pytest.MonkeyPatch,
):
    pipeline.validate(CARD.entity, CASES / "dates.csv", monkeypatch)
    dated = [issue for issue in pipeline.issues() if issue["code"] == "invalid_date"]
    assert len(dated) > 10
    assert [issue["message"] for issue in dated if "is not a date" in issue["message"]] == []
    ((judged,),) = pipeline.connection.execute("select dates[1] from validation.int_incident_totals").fetchall()
    assert judged["order_flag"] is None, "both kinds occur"
    assert min(judged["day_first_only"], judged["month_first_only"], judged["either_order"]) > 0


def test_the_references_that_spreadsheets_damage_are_named(
    pipeline: Pipeline,  # noqa: F811 - a fixture
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
):
    """As a spreadsheet saves rt_src.csv again; test_returned has our own files that come back."""
    text = (CASES / "rt_src.csv").read_text(encoding="utf-8")
    for before, after in {"\n00017,": "\n17,", "202600000000017,": "2.02600E+14,", "4-5,": "5-Apr,"}.items():
        text = text.replace(before, after)
    path = tmp_path / "saved.csv"
    path.write_text(text, encoding="utf-8")
    pipeline.validate(CARD.entity, path, monkeypatch)
    damaged = [issue["reference_number"] for issue in pipeline.issues() if issue["code"] == "damaged_reference"]
    assert damaged == ["2.02600E+14", "5-Apr"]
