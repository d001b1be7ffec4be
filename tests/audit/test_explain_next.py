"""What `explain` makes of a record's sightings: its verdict and the one thing to do next."""

import re
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from loader.audit.runs import KnownRun
from loader.explain import command as explain
from loader.explain.find import Record
from loader.explain.story import Intent, ReadBack, Result, Sighting
from loader.explain.verdict import latest, next_step, verdict
from loader.reports import status
from tests.audit.explaining import asked, story
from tests.forked import killed
from tests.support import ROOT, Home, new_home

NOON = datetime(2026, 1, 5, 12)  # noqa: DTZ001 - UTC without a zone, as the tables have it
RUN = KnownRun("r", "import", "incident", "staging", "/x/a.csv", None, None)


def seen(status: str = "valid", result: str | None = None, run: dict[str, Any] | None = None, **more: Any) -> Sighting:
    record = Record("r", "incident", 6, 7, None, "h", status, "agreed")
    outcome = Result(result, None, None, 1, None, None, None, None) if result else None
    plain = Sighting(**vars(record), run=replace(RUN, **(run or {})), outcome=outcome)
    return replace(plain, **more)


def proof(word: str, *, is_ours: bool = False) -> dict[str, Any]:
    return {"readback": (ReadBack(is_ours, word, "title", 200, NOON),)}


VALIDATED, DRY = {"mode": "validate-only"}, {"mode": "dry-run"}
STEPS = {
    "an invalid record": ([seen("invalid")], "correct line 7 of /x/a.csv, then:", "--validate-only --source /x/a.csv"),
    "with a file to correct": (
        [seen("invalid", rejected_file="/x/r.csv")],
        "in /x/r.csv (line 7 of /x/a.csv)",
        "/x/r.csv",
    ),
    "of another dialect": (
        [seen("invalid", rejected_file="/x/r.csv", run={"delimiter": ";", "encoding": "cp1252"})],
        "in /x/r.csv",
        "--source /x/r.csv --delimiter , --encoding utf-8 ",
    ),
    "validated, of another dialect": (
        [seen(run=VALIDATED | {"delimiter": ";", "encoding": "cp1252"})],
        "next:",
        "--source /x/a.csv --delimiter ';' --encoding cp1252 ",
    ),
    "a duplicate of what failed": (
        [seen(line_number=2, result="failed"), seen("duplicate")],
        "next: correct what failed",
        "--import",
    ),
    "a duplicate of what is there": ([seen(result="created"), seen("duplicate")], "nothing to do", "on the platform"),
    "a duplicate alone": ([seen(run_id="o"), seen("duplicate")], "nothing to do", "it is sent once"),
    "an exception": ([seen("excepted")], "left out on purpose", "documented_exceptions.csv"),
    "validated": ([seen(run=VALIDATED)], "next:", "--dry-run --source /x/a.csv"),
    "tried dry": ([seen(run=DRY)], "next:", "--import --source /x/a.csv"),
    "a closed gate": ([seen(run={"gate": "2 invalid"})], "the gate is closed for the whole file", "2 invalid"),
    "a closed gate, never attempted": (
        [seen(result="not_attempted", run={"gate": "2 invalid"})],
        "the gate",
        "2 invalid",
    ),
    "under way": ([seen(run={"process": 42})], "wait, process 42 is at work on this database", ""),
    "created": ([seen(result="created")], "nothing to do", "--verify"),
    "proven": ([seen(result="created", **proof("identical"))], "nothing to do", "as was read back"),
    "lost again": ([seen(result="created", **proof("not_visible", is_ours=True))], "ask the platform team", ""),
    "another one is there": ([seen(result="exists", **proof("differs"))], "correct title on the platform", ""),
    "somebody else's": ([seen(result="exists", **proof("not_visible"))], "ask the platform team", "another tenant's"),
    "there, not compared": ([seen(result="exists")], "nothing to do", "was not compared"),
    "failed": ([seen(result="failed")], "correct what failed, then run the same command again", "--import"),
    "failed, corrected since": ([seen(result="failed"), seen(run=DRY, record_hash="n")], "next: python", "--import"),
    "unknown": ([seen(result="unknown")], "run the same command again: nothing is created twice", "--import"),
    "never attempted": ([seen(result="not_attempted")], "run the same command again", "--import"),
    "killed before its turn": ([seen()], "run the same command again", "--import"),
    "there, but elsewhere": (
        [seen(result="created", run={"environment": "development"}), seen(run=DRY)],
        "next: python",
        "--environment staging --import",
    ),
    "open, validated since": ([seen(result="unknown"), seen(run=VALIDATED)], "run the same command again", "--import"),
    "there, validated since": ([seen(result="created"), seen(run=VALIDATED)], "nothing to do", ""),
    "carried over": (
        [seen(result="created", run_id="o"), seen(result="exists", settled_by="o")],
        "platform (--verify",
        "",
    ),
    "carried over, proven before": (
        [seen(result="created", run_id="o", **proof("identical")), seen(result="exists", settled_by="o")],
        "nothing to do",
        "as was read back",
    ),
    "there, changed since": ([seen(result="created"), seen(run=DRY, record_hash="n")], "by hand", "never updates"),
}


@pytest.mark.parametrize("case", STEPS)
def test_there_is_one_thing_to_do(case: str):
    sightings, begins, says = STEPS[case]
    step = str(next_step(sightings, latest(sightings)))
    assert begins in step
    assert says in step


def test_the_line_asked_for_stands_for_the_record_in_the_last_run_alone():
    first, other, later = seen("invalid"), seen("invalid", line_number=9), seen("invalid", run_id="later")
    assert latest([first, other], first) is first
    assert latest([first, other]) is other
    assert latest([first, other, later], first) is later


def test_verdicts_say_how_they_are_known():
    def confirmed(by: str) -> Result:
        return Result("exists", by, None, 0, None, None, None, None)

    carried = seen(outcome=confirmed("earlier_run"), settled_by="before")
    assert verdict(carried) == "exists: nothing was sent, before had settled it"
    assert "so it is ours" in verdict(seen(outcome=confirmed("conflict_after_unknown")))
    assert verdict(seen("excepted")) == "excepted: agreed"
    assert "no outcome was written" in verdict(seen(intents=(Intent(NOON),)))


def test_a_killed_run_leaves_what_was_about_to_be_sent(home: Home):
    killed(home, "before:commit_outcomes", "--environment", "staging", "--batch-size", "2")
    sent, unsent = asked(home, "EXT-2026-0001").stdout, asked(home, "EXT-2026-0005").stdout
    assert "intent     it was about to be sent at" in sent
    assert "unknown: it was about to be sent at" in sent
    assert "not attempted: the run ended before its turn" in unsent
    for page in (sent, unsent):
        assert "next: run the same command again: nothing is created twice:\n  python scripts/etl/pipeline.py " in page


def test_a_build_that_no_run_has_seen_yet(workplace: Path, built: Path):
    told = story(new_home(workplace / "explain_built", built), "EXT-2026-0001")
    (seen,) = told["sightings"]
    assert (seen["run_id"], seen["payload"]["reference_number"]) == (None, "EXT-2026-0001")
    assert {change["field"] for change in seen["changes"]} >= {"incident_type"}
    assert "no run has seen this build yet" in told["next"]


def test_every_flag_is_in_the_runbook():
    runbook = (ROOT / "RUNBOOK.md").read_text(encoding="utf-8")
    for command in (explain, status):
        flags = set(re.findall(r"--[a-z-]+", command.parser("x").format_usage())) - {"--help"}
        assert flags
        assert {flag for flag in flags if f"`{flag}" not in runbook} == set()


def test_only_what_it_needs_is_loaded(home: Home):
    code = "import sys; from loader.__main__ import main; main(['explain', 'x']); print('requests' in sys.modules)"
    assert home.run(["python", "-c", code]).stdout == "False\n"
