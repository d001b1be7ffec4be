"""A small rehearsal: everything goes wrong, and every record comes through. And what its receipt would not let pass."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rehearsal.checks import offenders
from rehearsal.evidence import Evidence, read_evidence
from rehearsal.plan import FAULTS, make_plan
from rehearsal.supervisor import RunRecord
from tests.support import COMMAND_SECONDS, ROOT

RECORDS = 120
Doctor = Callable[[Evidence], Evidence]


def rehearsal(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Rehearse in `folder`; dbt's parsed project is that of the folder's neighbours."""
    command = [sys.executable, "-m", "rehearsal", "--folder", str(folder), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)


@pytest.fixture(scope="module")
def rehearsed(workplace: Path, built: Path) -> Path:
    """Return the folder of a rehearsal that everything came through."""
    assert built.exists()
    folder = workplace / "rehearsal"
    done = rehearsal(folder, "--records", str(RECORDS), "--seed", "7")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def receipt(rehearsed: Path) -> dict[str, Any]:
    return dict(json.loads((rehearsed / "receipt.json").read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def evidence(rehearsed: Path) -> Evidence:
    return read_evidence(rehearsed, "a text that stands nowhere")


def judged(evidence: Evidence, receipt: dict[str, Any]) -> set[str]:
    runs = [RunRecord(**run) for run in receipt["runs"]]
    return {name for name, found in offenders(evidence, runs, receipt["sandbox_killed_at"]).items() if found}


def test_every_record_comes_through(receipt: dict[str, Any]):
    assert receipt["all_hold"]
    assert (receipt["records_in_the_file"], receipt["records_on_the_server"]) == (RECORDS, RECORDS)
    assert (receipt["duplicates"], receipt["lost"], receipt["unaccounted"]) == (0, 0, 0)
    assert receipt["results"]["created"] == RECORDS
    assert receipt["runs"][-1]["exit_code"] == 0


def test_every_kind_of_fault_has_happened(receipt: dict[str, Any]):
    happened = {kind: fault["happened"] for kind, fault in receipt["faults"].items()}
    assert {kind for kind in FAULTS if not happened[kind]} == set()
    assert happened["kill -9 of the loader"] >= 2
    assert happened["kill -9 of the sandbox"] >= 1


def test_the_same_seed_is_the_same_plan():
    references = [f"R-{number}" for number in range(2000)]
    assert make_plan(3, references) == make_plan(3, references)
    assert make_plan(3, references) != make_plan(4, references)
    assert Counter(fault.kind for fault in make_plan(3, references).faults).keys() == FAULTS.keys()


def first_created(evidence: Evidence) -> dict[str, Any]:
    """Return a create of the last run that was answered 201."""
    return [post for post in evidence.posts if post["status"] == 201][-1]


def posted_again(evidence: Evidence, seconds: float) -> Evidence:
    sent = first_created(evidence)
    again = sent | {"at": sent["at"] + seconds, "status": 409, "id": 0}
    return replace(evidence, posts=[*evidence.posts, again])


DOCTORED: list[tuple[str, Doctor]] = [
    ("nothing is lost", lambda e: replace(e, stored=e.stored[1:])),
    ("nothing else is on the server", lambda e: replace(e, references=e.references[1:])),
    ("nothing is there twice", lambda e: replace(e, stored=[*e.stored, e.stored[0]])),
    ("nothing is there twice", lambda e: replace(e, posts=[*e.posts, first_created(e)])),
    (
        "the server holds what was sent",
        lambda e: replace(e, stored=[e.stored[0] | {"location": "elsewhere"}, *e.stored[1:]]),
    ),
    (
        "the counts of every run close",
        lambda e: replace(e, runs=[e.runs[0] | {"created_records": e.runs[0]["created_records"] + 1}, *e.runs[1:]]),
    ),
    ("every run accounts for every record", lambda e: replace(e, fates=e.fates[1:])),
    ("every run accounts for every record", lambda e: replace(e, opened=e.opened | {"a run without a row"})),
    (
        "the last run reports every record as there",
        lambda e: replace(e, runs=[*e.runs, e.runs[-1] | {"run_id": "a run without records"}]),
    ),
    (
        "every record is reported as created by one run",
        lambda e: replace(e, fates=[fate | {"result": "created"} for fate in e.fates]),
    ),
    ("the token is in no file", lambda e: replace(e, leaks=["a file"])),
    ("no run ended in a traceback", lambda e: replace(e, tracebacks=["a log"])),
    ("posted again only without a settling answer", lambda e: posted_again(e, 0.001)),
]


@pytest.mark.parametrize(("check", "doctor"), DOCTORED, ids=[f"{at} {name}" for at, (name, _) in enumerate(DOCTORED)])
def test_no_check_passes_what_it_is_for(evidence: Evidence, receipt: dict[str, Any], check: str, doctor: Doctor):
    assert judged(evidence, receipt) == set()
    assert check in judged(doctor(evidence), receipt)


def test_a_text_in_any_file_is_found(rehearsed: Path):
    assert "etl.toml" in read_evidence(rehearsed, "max_concurrency").leaks


def test_a_database_that_does_not_open_is_an_offender(evidence: Evidence, receipt: dict[str, Any]):
    runs = [run | {"opens": False} for run in receipt["runs"]]
    assert judged(evidence, receipt | {"runs": runs}) == {"the database opens after every kill"}


@pytest.mark.rehearsal
def test_a_rehearsal_that_does_not_get_done_says_so(workplace: Path):
    folder = workplace / "rehearsal_given_up"
    done = rehearsal(folder, "--records", "60", "--seed", "1", "--seconds", "1")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "done within the bounds: NO" in done.stdout
    assert f"everything is kept in {folder}" in done.stdout
    kept = json.loads((folder / "receipt.json").read_text(encoding="utf-8"))
    assert (kept["lost"], len(kept["offenders"]["nothing is lost"])) == (60, 10)


def test_too_few_records_are_refused(tmp_path: Path):
    done = rehearsal(tmp_path / "none", "--records", "10")
    assert (done.returncode, done.stdout) == (2, "")
    assert "at least 60 records" in done.stderr
