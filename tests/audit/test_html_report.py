"""`report RUN_ID --html`: one page that asks for nothing, runs nothing of the data's, and reads well everywhere."""

import base64
import re
import stat
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path

import duckdb
import pytest

from loader.__main__ import main
from loader.audit.runs import KnownRun, find_run
from loader.reports.advice import after_run
from loader.reports.page import page
from loader.reports.series import ANSWERS, round_up, series
from loader.storage.warehouse import Warehouse
from tests.audit.browser import Browser, browser, missing
from tests.audit.html_rows import HOSTILE, IMAGE, QUIET, ROWS, SECRET
from tests.support import Home, new_home


@pytest.fixture(scope="module")
def home(workplace: Path, built: Path) -> Home:
    """Return a home with a run in which everything went wrong, and one in which nothing did."""
    home = new_home(workplace / "html", built)
    with duckdb.connect(str(home.database)) as connection:
        for table, columns in ROWS.items():
            connection.execute(
                f"insert into audit.{table} by name select 'busy' as run_id, 'e' as entity_type, {columns}"
            )
        connection.execute(f"insert into audit.fct_runs by name select 'quiet' as run_id, 'e' as entity_type, {QUIET}")
    return home


@pytest.fixture(scope="module")
def pages(home: Home) -> dict[str, Path]:
    """Return the pages: `busy` without texts of the data, `told` with them, `quiet` of a run without any problem."""
    folder = home.folder / "pages"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in home.variables().items():
            patch.setenv(name, value)
        for name, run_id, *flags in (("busy", "busy"), ("told", "busy", "--include-text"), ("quiet", "quiet")):
            arguments = [run_id, "--html", "--output", str(folder / f"{name}.html"), *flags]
            assert main(["report", *arguments]) == 0
    return {path.stem: path for path in folder.iterdir()}


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Return a running Chromium; where there is none, the tests that need one are skipped."""
    if reason := missing():
        pytest.skip(reason)
    with browser(tmp_path_factory.mktemp("profile")) as running:
        yield running


def test_it_is_small_and_for_its_owner_alone_and_the_same_each_time(pages: dict[str, Path], home: Home, tmp_path: Path):
    for path in pages.values():
        assert path.stat().st_size < 1_000_000
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.MonkeyPatch.context() as patch:
        for name, value in home.variables().items():
            patch.setenv(name, value)
        assert main(["report", "busy", "--html", "--output", str(tmp_path)]) == 0
    assert (tmp_path / "report_e_busy.html").read_bytes() == pages["busy"].read_bytes()


def test_texts_of_the_data_are_shown_on_demand_alone(pages: dict[str, Path]):
    texts = {name: path.read_text(encoding="utf-8") for name, path in pages.items()}
    assert SECRET not in texts["busy"]
    assert "503 from the API: check its health" in texts["busy"]
    assert "422 VALIDATION_ERROR" in texts["busy"]
    assert SECRET in texts["told"]
    for text in texts.values():
        assert HOSTILE not in text
        assert "<img" not in text
        assert re.findall(r"<[^>]*\s(?:src|href|style|on\w+)=", text.partition("<body>")[2]) == []


def test_what_does_not_fit_is_counted_and_said_to_be_elsewhere(pages: dict[str, Path]):
    shown = re.search(r"The first ([\d,]+) of 5,040 are shown; all of them", pages["busy"].read_text(encoding="utf-8"))
    assert shown
    assert int(shown[1].replace(",", "")) > 500
    assert "Besides, 30 records were never sent" in pages["busy"].read_text(encoding="utf-8")


def test_a_run_without_problems_says_so(pages: dict[str, Path]):
    text = pages["quiet"].read_text(encoding="utf-8")
    assert "None: no record breaks a rule." in text
    assert "None: nothing here waits for anybody." in text
    assert "What became of the ready records" not in text
    assert "--dry-run --source fine.csv" in text


def test_an_answer_counts_as_what_the_run_took_it_for(home: Home):
    told = series(Warehouse(home.database, 1, print), "busy")
    assert told
    counts = {name: sum(bucket[name] for bucket in told.buckets) for name in ANSWERS}
    # One in twenty each: 429; 503; and of the refused a 422, a 409 that refuses every write, a redirection.
    assert counts == {"accepted": 675, "refused": 135, "limited": 45, "lost": 45}


def test_a_gate_is_told_by_what_closed_it_and_whole(home: Home):
    by_records = KnownRun("r", "import", "e", "staging", "/x/a.csv", None, None, gate="gate closed: 2", exit_code=1)
    assert after_run(by_records, {}, {}, "/y/rejected_e_r.csv").words.startswith("correct /y/rejected_e_r.csv")
    by_change = replace(by_records, gate="gate closed: the payload has changed since its tests ran", exit_code=2)
    assert after_run(by_change, {}, {}, "/y/rejected_e_r.csv").words == f"{by_change.gate}; then"
    reason = "gate closed: " + "a long name of a test, " * 20 + "then run: dbt build"
    warehouse = Warehouse(home.database, 1, print)
    quiet = vars(find_run(warehouse, "quiet")) | {"gate": reason, "exit_code": 2}
    shown = page(warehouse, quiet, include_text=False)
    assert "<strong>Next:</strong>" in shown
    assert "then run: dbt build; then" in shown


def test_a_page_on_which_nothing_is_to_be_done_has_no_next_step(home: Home, tmp_path: Path):
    own = new_home(tmp_path, home.database)
    own.query(
        "update audit.fct_runs set mode = 'import', unknown_records = 0, not_attempted_records = 0, failed_records = 0 "
        "where run_id = 'quiet'"
    )
    warehouse = Warehouse(own.database, 1, print)
    done = page(warehouse, vars(find_run(warehouse, "quiet")), include_text=False)
    assert "<p>done: " in done
    assert "<strong>Next:</strong>" not in done


@pytest.mark.parametrize(("value", "top"), [(0, 1), (1, 1), (1.5, 2), (37, 40), (41, 50), (51, 100), (1000, 1000)])
def test_an_axis_ends_with_a_round_number(value: float, top: float):
    assert round_up(value) == top


@pytest.mark.parametrize("name", ["busy", "told", "quiet"])
def test_no_error_no_request_no_dialog(chromium: Browser, pages: dict[str, Path], name: str):
    chromium.open(pages[name])
    assert chromium.run("return document.readyState") == "complete"
    assert chromium.complaints() == []
    assert set(chromium.requested()) == {pages[name].as_uri()}


def test_a_page_that_asks_for_something_would_be_seen(chromium: Browser, tmp_path: Path):
    (tmp_path / "leaky.html").write_text(
        '<meta http-equiv="Content-Security-Policy" content="script-src \'none\'">'
        '<script>alert(1)</script><img src="http://127.0.0.1:9/x">',
        encoding="utf-8",
    )
    chromium.open(tmp_path / "leaky.html")
    assert "http://127.0.0.1:9/x" in chromium.requested()
    assert any("Content Security Policy" in complaint for complaint in chromium.complaints())


def test_text_of_the_data_is_text(chromium: Browser, pages: dict[str, Path]):
    chromium.open(pages["told"])
    body = chromium.run("return document.body.textContent")
    assert HOSTILE in body
    assert IMAGE in body
    assert chromium.run("return [document.scripts.length, document.images.length]") == [1, 0]
    assert chromium.run("return document.querySelector('h1').textContent") == f"{HOSTILE}.csv".rpartition("/")[2]


def test_the_search_narrows_the_table(chromium: Browser, pages: dict[str, Path]):
    chromium.open(pages["busy"])
    box = chromium.driver.find_element("id", "find")
    rows = "return [...document.querySelectorAll('#needs tbody tr')].filter((row) => row.offsetParent).length"
    everything = chromium.run(rows)
    box.send_keys("EXT-12 F1")
    narrowed = chromium.run(rows)
    assert 0 < narrowed < 100 < everything
    assert chromium.run("return document.getElementById('found').textContent") == f"{narrowed} of {everything:,} rows"
    box.clear()
    box.send_keys(HOSTILE)
    assert chromium.run(rows) == 1
    box.clear()
    box.send_keys(" ")
    assert chromium.run(rows) == everything


def test_it_fits_a_phone_and_a_desk_in_light_and_dark(chromium: Browser, pages: dict[str, Path], tmp_path: Path):
    papers = set()
    sizes = "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    for name, width, scheme in product(("told", "quiet"), (390, 1280), ("light", "dark")):
        chromium.open(pages[name], width, scheme)
        scroll, client = chromium.run(sizes)
        assert scroll <= client == width, (name, width, scheme)
        papers.add((scheme, chromium.run("return getComputedStyle(document.body).backgroundColor")))
        if name == "told":
            chromium.photograph(tmp_path / f"{width}-{scheme}.png")
    assert papers == {("light", "rgb(255, 255, 255)"), ("dark", "rgb(20, 23, 27)")}


def test_it_prints_on_white_without_the_search(chromium: Browser, pages: dict[str, Path]):
    chromium.open(pages["busy"], scheme="dark", media="print")
    find = "return getComputedStyle(document.querySelector('.find')).display"
    paper = "return getComputedStyle(document.body).backgroundColor"
    assert (chromium.run(find), chromium.run(paper)) == ("none", "rgb(255, 255, 255)")
    chromium.open(pages["quiet"])
    assert base64.b64decode(chromium.driver.print_page()).startswith(b"%PDF")


def test_charts_and_tables_say_what_they_are(chromium: Browser, pages: dict[str, Path]):
    chromium.open(pages["busy"])
    unnamed = """
        return [...document.querySelectorAll("svg:not([aria-hidden]), section, table, input")].filter((part) => !(
            part.getAttribute("aria-label") || part.getAttribute("aria-labelledby") || part.caption
            || part.labels?.length || part.closest("[aria-label]") || part.previousElementSibling?.tagName === "H3"
        )).map((part) => part.outerHTML.slice(0, 80))"""
    assert chromium.run(unnamed) == []
    columns = chromium.run("return document.querySelectorAll('.plot svg')[0].querySelectorAll('g').length")
    assert 30 <= columns <= 60
