"""What `explain` tells of a record is what the file holds, what the audit tables hold and what the server logged."""

import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from sandbox.process import Sandbox
from tests.audit.explaining import asked, story
from tests.support import Home, new_home
from tests.warm import running_sandbox

ODD = ["Ünï côdé 7", 'say "hi"', "a:7", "good.csv:3", "plant/7 #2", "-0001", "it's"]
REFERENCES = [f"EXT-{number}" for number in range(1, 21)] + ODD
SEED = 6
LONG = "long " * 80
STEERING = "red \x1b[31m title"


def cell(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def good(reference: str, title: str = "A title", description: str = "What happened") -> str:
    cells = (reference, title, description)
    return ",".join([*map(cell, cells), "safety", "2", "open", "2026-01-15", "Hall 3"])


GOOD = [good(reference) for reference in REFERENCES]
GOOD[4] = good("EXT-5", LONG, "first line\nverdict    created\n\nlast line")
GOOD[5] = good("EXT-6", STEERING)
BAD = [
    good("OK-1"),
    good(""),
    'R-3,never "closed',
    good("OK-1"),
    "R-5,t,d,saftey,2,open,2026-13-15,Hall 3",
    "",
    good("OK-9"),
]


@pytest.fixture(scope="module")
def served(workplace: Path, built: Path) -> Iterator[tuple[Home, Sandbox]]:
    """Return a home with a validation of bad.csv, then two imports of good.csv, the first of them through faults."""
    folder = workplace / "explained"
    folder.mkdir()
    with running_sandbox(folder / "sandbox.sqlite", "--environment", "staging") as sandbox:
        home = new_home(folder, built, QGP_STAGING_API_URL=sandbox.url, QGP_API_TOKEN=sandbox.token())
        assert home.loader("--validate-only", "--source", home.csv("bad.csv", *BAD)).returncode == 1
        draw = random.Random(SEED)  # noqa: S311
        for reference in draw.sample(REFERENCES[:20], 12):
            kind = draw.choice(["status", "drop_before_commit", "drop_after_commit", "status_after_commit"])
            options = {"value": draw.choice([500, 502, 503, 504])} if kind.startswith("status") else {}
            sandbox.fault(kind, count=draw.choice([1, 2]), reference=reference, **options)
        sandbox.fault("rate_limited", reference="EXT-1")
        sandbox.fault("status", count=4, value=503, reference="a:7")
        sandbox.fault("body", status=422, text='{"error": {"code": "VALIDATION_ERROR"}}', reference="it's")
        first = home.loader("--import", "--source", home.csv("good.csv", *GOOD))
        assert first.returncode in (1, 4), first.stderr
        sandbox.clear_faults()
        assert home.loader("--import", "--verify").returncode == 0
        yield home, sandbox


@pytest.fixture
def copied(served: tuple[Home, Sandbox], tmp_path: Path) -> Home:
    """Return a copy of the home, to be changed."""
    shutil.copytree(served[0].folder, tmp_path / "copied")
    return Home(tmp_path / "copied", served[0].environment)


def test_random_records_tell_the_story_of_the_servers_own_log(served: tuple[Home, Sandbox]):
    home, sandbox = served
    posts = [entry for entry in sandbox.requests() if entry["method"] == "POST"]
    retried = 0
    for reference in {*random.Random(SEED).sample(REFERENCES, 10), "EXT-1", "a:7", "it's"}:  # noqa: S311
        sightings = story(home, "--all", "--", reference)["sightings"]
        attempts = [attempt for seen in sightings for attempt in seen["attempts"]]
        logged = [entry for entry in posts if entry["reference_number"] == reference]
        # A request on a connection that the server has just closed reaches nobody; a cut one is logged without status.
        assert len(attempts) >= len(logged) >= 1
        told = [attempt["status_code"] for attempt in attempts if attempt["status_code"]]
        assert told == [entry["status"] for entry in logged if entry["status"]], reference
        retried += len(attempts) > 1
    assert retried >= 4, "the faults have to be felt"


def test_the_page_goes_from_the_line_to_what_to_do(served: tuple[Home, Sandbox]):
    done = asked(served[0], "EXT-5")
    assert done.returncode == 0
    labels = [line[2:13].strip() for line in done.stdout.splitlines() if line.startswith("  ") and line[2] != " "]
    told = [label for label in dict.fromkeys(labels) if label != "cell"]
    assert told == ["file", "raw", "changed", "warning", "payload", "attempt 1", "id", "verdict", "read back"]
    assert "changed    incident_type, mapped: 'safety' -> 'hazard'" in done.stdout
    assert "truncated: title" in done.stdout
    assert "more characters; --json has them" in done.stdout
    assert done.stdout.splitlines()[-1] == "nothing to do: it is on the platform, as was read back"


def test_the_data_cannot_look_like_ours_or_steer_a_terminal(served: tuple[Home, Sandbox]):
    home, _ = served
    assert "\x1b" not in asked(home, "EXT-6").stdout
    assert r"red \x1b[31m title" in asked(home, "EXT-6").stdout
    lines = asked(home, "EXT-5", "--all").stdout.splitlines()
    assert not [line for line in lines if line.startswith("verdict    created")]


@pytest.mark.parametrize("reference", ODD)
def test_odd_references(served: tuple[Home, Sandbox], reference: str):
    told = story(served[0], "--", reference)
    assert told["reference_number"] == reference
    last = told["sightings"][-1]
    assert last["payload"]["reference_number"] == reference
    assert f"{cell(reference)}," in last["raw"]["text"]


def test_a_record_that_an_earlier_run_had_settled(served: tuple[Home, Sandbox]):
    first, second = story(served[0], "EXT-20")["sightings"]
    assert second["outcome"]["confirmed_by"] == "earlier_run"
    assert second["settled_by"] == first["run_id"]
    assert first["run_id"] in second["verdict"]


def test_a_lost_answer_and_a_refusal(served: tuple[Home, Sandbox]):
    lost = story(served[0], "a:7")["sightings"]
    assert [seen["outcome"]["result"] for seen in lost] == ["unknown", "created"]
    assert [attempt["status_code"] for attempt in lost[0]["attempts"] if attempt["status_code"]] == [503] * 4
    page = asked(served[0], "it's", "--run", lost[0]["run_id"]).stdout
    assert "422" in page
    assert "1 sighting by other runs left out; the last line goes by all of them" in page
    assert page.splitlines()[-1] == "nothing to do: it is on the platform, as was read back", "a later run created it"


def lines_of(path: Path, reference: str) -> int:
    return next(n for n, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1) if reference in line)


def test_a_line_finds_its_record_wherever_in_it(served: tuple[Home, Sandbox]):
    home, _ = served
    first = lines_of(home.folder / "good.csv", '"EXT-5"')
    for line in (first, first + 1, first + 2, first + 3):
        assert story(home, f"{home.folder}/good.csv:{line}")["reference_number"] == "EXT-5"
    assert story(home, f"good.csv:{first - 1}")["reference_number"] == "EXT-4"
    # A record has this reference, and is meant; the line is reached by a path.
    assert story(home, "good.csv:3")["reference_number"] == "good.csv:3"
    assert story(home, f"{home.folder}/good.csv:3")["reference_number"] == "EXT-2"


def test_a_line_that_is_no_record(served: tuple[Home, Sandbox]):
    home, _ = served
    last = len((home.folder / "bad.csv").read_text(encoding="utf-8").splitlines())
    for line, words in (
        (1, "is the header"),
        (last - 1, "is a blank line"),
        (last + 1, "is beyond the end"),
        (999, "beyond"),
    ):
        done = asked(home, f"bad.csv:{line}")
        assert (done.returncode, words in done.stderr) == (1, True), done.stderr
    done = asked(home, "other.csv:2")
    assert done.returncode == 1
    assert "no run has read other.csv" in done.stderr


def test_an_invalid_record_names_its_remedy_and_the_file_to_correct(served: tuple[Home, Sandbox]):
    page = asked(served[0], "R-5").stdout
    assert "unknown_enum" in page
    assert "suggested: safety" in page
    assert "fix: " in page
    written = served[0].output.glob("rejected_incident_*.csv")
    (rejected,) = [path for path in written if "R-5" in path.read_text(encoding="utf-8")]
    assert f"--validate-only --source {rejected}" in page.splitlines()[-1]


def test_records_without_a_reference_and_repeated_ones(served: tuple[Home, Sandbox]):
    home, _ = served
    broken = story(home, "bad.csv:4")
    assert (broken["reference_number"], broken["verdict"]) == (None, "parse_error")
    assert broken["sightings"][0]["raw"]["text"] == 'R-3,never "closed'
    assert story(home, "bad.csv:3")["sightings"][0]["issues"][0]["code"] == "required"
    twice = story(home, "OK-1")
    assert [seen["status"] for seen in twice["sightings"]] == ["valid", "duplicate"]
    assert twice["verdict"].startswith("valid, but nothing was posted")
    assert twice["next"].startswith("next: the gate is closed for the whole file")


def test_a_closed_gate_keeps_a_valid_record_back(served: tuple[Home, Sandbox]):
    told = story(served[0], "OK-9")
    assert told["verdict"].startswith("valid, but nothing was posted: gate closed")
    assert told["next"].startswith("next: the gate is closed for the whole file")


def test_a_source_that_has_changed_or_gone_is_named_with_its_hash(copied: Home):
    source = copied.folder / "good.csv"
    copied.query("update audit.fct_runs set source_file = ? where source_file like '%good.csv'", str(source))
    sha256 = copied.query("select source_sha256 from audit.fct_runs order by rowid desc")[0][0]
    assert story(copied, "EXT-7")["sightings"][-1]["raw"]["found_in"] == "source file"
    source.write_text(source.read_text(encoding="utf-8").replace("A title", "Another"), encoding="utf-8")
    raw = story(copied, "EXT-7")["sightings"][-1]["raw"]
    assert (raw["found_in"], raw["cells"]["title"], raw["text"]) == ("landing", "A title", None)
    assert raw["note"] == f"the file has changed since: {source}, its SHA-256 was {sha256}"
    source.unlink()
    copied.query("drop table landing.raw_incident cascade")
    raw = story(copied, "EXT-7")["sightings"][-1]["raw"]
    assert (raw["found_in"], raw["text"], raw["cells"]) == (None, None, None)
    assert str(source) in raw["note"]
    assert sha256 in raw["note"]


def test_an_unknown_reference_says_where_it_looked_and_offers_the_nearest(served: tuple[Home, Sandbox]):
    home, _ = served
    done = asked(home, "ext-5", "--json")
    assert done.returncode == 1
    ((records, runs),) = home.query("select count(*), count(distinct run_id) from audit.fct_records")
    # The last build of the incidents was a run's own, that of the complaints was not.
    looked = f"{records} records of {runs} runs in audit.fct_records, and through validation.int_complaint_records "
    assert f"{looked}of the last dbt build, on " in done.stderr
    assert "int_incident_records" not in done.stderr
    assert f" ({home.database}); the nearest" in done.stderr
    assert "the nearest: 'EXT-5', " in done.stderr
    assert json.loads(done.stdout)["found"] is False
    assert "no reference is like it" in asked(home, "zzzzqqqq").stderr


def test_arguments_that_are_refused(served: tuple[Home, Sandbox], empty_home: Home):
    home, _ = served
    done = asked(home, "EXT-5", "--run", "nonesuch")
    assert done.returncode == 2
    assert "no run 'nonesuch' among the 3 of" in done.stderr
    assert asked(home).returncode == 2
    for arguments in (["\udcff"], ["EXT-5", "--run", "\udcff"]):
        done = asked(home, *arguments)
        assert (done.returncode, done.stderr) == (
            2,
            "error: the argument '\\xff' is not UTF-8; type it, or name the file, in UTF-8\n",
        )
    assert asked(home, "EXT-5", "--entity-type", "nonesuch").returncode == 2
    done = asked(empty_home, "EXT-5")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "there is no database yet; run: dbt build" in done.stderr


def test_the_newest_runs_unless_all_are_asked_for(copied: Home):
    later = {
        "fct_records": "reference_number = 'EXT-9'",
        "fct_runs": "mode = 'import'",
        "fct_run_events": "action = 'run_started'",
    }
    for table, condition in later.items():
        place = ", 100 + n as sequence" if table != "fct_records" else ""
        copied.query(
            f"insert into audit.{table} by name select run.* replace ('2027-' || n as run_id{place}) "  # noqa: S608
            f"from (select * from audit.{table} where {condition} limit 1) as run, range(8) as numbers(n) order by n"
        )
    copied.query(
        "insert into audit.fct_records by name "
        "select seen.* replace ('duplicate' as status, record_number + n as record_number) "
        "from audit.fct_records as seen, range(1, 9) as numbers(n) "
        "where run_id = '2027-7' and reference_number = 'EXT-9'"
    )
    assert len(story(copied, "EXT-9")["sightings"]) == 13, "five runs, one of which saw it nine times"
    copied.query("delete from audit.fct_records where status = 'duplicate' and run_id = '2027-7'")
    told = story(copied, "EXT-9")
    assert [seen["run_id"] for seen in told["sightings"]] == [f"2027-{number}" for number in range(3, 8)]
    assert told["earlier_sightings"] == 5
    assert len(story(copied, "EXT-9", "--all")["sightings"]) == 10
    assert [seen["run_id"] for seen in story(copied, "EXT-9", "--run", "2027-1")["sightings"]] == ["2027-1"]
    assert "5 earlier sightings left out; --all shows them" in asked(copied, "EXT-9").stdout


def test_a_build_that_stopped_half_way_is_not_taken_for_the_one_before(copied: Home):
    copied.query("update audit.fct_runs set source_file = '/gone.csv'")
    assert story(copied, "EXT-7")["sightings"][-1]["raw"]["cells"]["title"] == "A title"
    copied.query("update payload.fct_incident_payload set title = 'of another file', record_hash = 'b'")
    assert story(copied, "EXT-7")["sightings"][-1]["payload"] is None
    copied.query("update landing.raw_incident set title = 'of another file', source_sha256 = 'b'")
    last = story(copied, "EXT-7")["sightings"][-1]
    assert (last["is_last_build"], last["raw"]["cells"], last["payload"]) == (False, None, None)
    assert "of another file" not in asked(copied, "EXT-7").stdout


def test_a_failed_record_that_is_repeated_is_still_to_be_corrected(copied: Home):
    copied.query(
        "insert into audit.fct_records by name select * replace ('duplicate' as status, 90 as record_number) "
        "from audit.fct_records where reference_number = 'EXT-9'"
    )
    copied.query("update audit.fct_import_records set result = 'failed' where reference_number = 'EXT-9'")
    told = story(copied, "EXT-9")
    assert told["verdict"].startswith("failed")
    assert told["next"].startswith("next: correct what failed")


def test_a_rejected_file_that_is_gone_is_not_the_one_to_correct(copied: Home):
    copied.query("update audit.fct_output_files set path = '/gone/rejected.csv'")
    told = story(copied, "R-5")
    assert "/gone" not in told["next"]
    assert "next: correct line 6 of " in told["next"]


def test_a_link_to_itself_is_a_file_that_no_run_has_read(served: tuple[Home, Sandbox], tmp_path: Path):
    (tmp_path / "loop").symlink_to("loop")
    done = asked(served[0], f"{tmp_path}/loop:3")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr


@pytest.mark.parametrize("command", ["explain EXT-5", "status"])
def test_a_page_that_cannot_be_written_is_said(served: tuple[Home, Sandbox], command: str):
    done = served[0].run(["sh", "-c", f"python -m loader {command} > /dev/full"])
    assert done.returncode == 4
    assert done.stderr.startswith("error: standard output cannot be written (No space left on device)")
    assert done.stderr.count("\n") == 1
    done = served[0].run(["bash", "-c", f"set -o pipefail; python -m loader {command} | true"])
    assert (done.returncode in (0, 1), done.stderr) == (True, ""), "nobody reads it any more"


def test_nothing_is_written(copied: Home):
    before = copied.database.read_bytes()
    assert asked(copied, "EXT-5").returncode == 0
    assert copied.database.read_bytes() == before


def test_an_older_database_is_brought_up_to_date_by_a_build(copied: Home):
    copied.query("drop table audit.fct_attempts")
    done = asked(copied, "EXT-5")
    assert (done.returncode, done.stderr) == (2, f"error: {copied.database}: a table is missing; run: dbt build\n")


def test_a_held_database_names_the_process(copied: Home):
    with duckdb.connect(str(copied.database)):
        done = asked(copied, "EXT-5")
    assert done.returncode == 4
    assert "held by process" in done.stderr


def test_a_payload_that_somebody_has_changed_is_not_told(home: Home):
    ((reference,),) = home.query("select reference_number from payload.fct_incident_payload order by all limit 1")
    assert home.loader("--dry-run").returncode == 0
    assert home.loader("explain", reference, "--json").stdout.count('"payload": {')
    home.query("update payload.fct_incident_payload set title = 'Another' where reference_number = ?", reference)
    told = home.loader("explain", reference)
    assert "Another" not in told.stdout
    assert "somebody has changed it" in told.stdout
