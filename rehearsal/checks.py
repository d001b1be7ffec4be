"""What must hold after a rehearsal. Each check lists offenders; it is kept when there are none. Pure."""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC
from http import HTTPStatus
from itertools import pairwise
from typing import Any

from loader.api.answer import is_lost
from loader.audit.journal import DELIVERY_COUNTS, FILE_COUNTS
from rehearsal.evidence import Evidence, Row
from rehearsal.supervisor import SETTINGS, RunRecord

# An answer is logged before it leaves: a kill of the server within this time may have kept it.
IN_FLIGHT_SECONDS = 2.0
# The log has no time of the answer: one that took longer than this came to a client that had given up.
TIME_OUT_SECONDS = SETTINGS["read_timeout_seconds"]
THERE = {"created", "exists"}


def offenders(evidence: Evidence, runs: Sequence[RunRecord], server_kills: Sequence[float]) -> dict[str, list[str]]:
    """Return the offenders of every check by its name: references, runs or files."""
    return {name: check(evidence) for name, check in _CHECKS.items()} | {
        "posted again only without a settling answer": _posted_without_need(evidence, server_kills),
        "the database opens after every kill": [f"run {run.number}" for run in runs if not run.opens],
    }


def _lost(evidence: Evidence) -> list[str]:
    return sorted(set(evidence.references) - {row["reference_number"] for row in evidence.stored})


def _foreign(evidence: Evidence) -> list[str]:
    return sorted({row["reference_number"] for row in evidence.stored} - set(evidence.references))


def _duplicates(evidence: Evidence) -> list[str]:
    """Return what is stored twice, or was answered 201 twice."""
    stored = Counter(row["reference_number"] for row in evidence.stored)
    created = Counter(row["reference_number"] for row in evidence.posts if row["status"] == HTTPStatus.CREATED)
    return sorted(name for name in stored | created if stored[name] > 1 or created[name] > 1)


def _differs(evidence: Evidence) -> list[str]:
    return sorted(
        row["reference_number"]
        for row in evidence.stored
        if {name: cell for name, cell in row.items() if name not in ("id", "created_at")}
        != evidence.bodies.get(row["reference_number"])
    )


def _open_counts(evidence: Evidence) -> list[str]:
    """Return the runs whose row of `fct_runs` does not close."""
    return [
        run["run_id"]
        for run in evidence.runs
        if not run["closes"]
        or run["total_records"] != sum(run[name] for name in FILE_COUNTS)
        or run["ready_records"] != sum(run[name] for name in DELIVERY_COUNTS)
    ]


def _unaccounted(evidence: Evidence) -> list[str]:
    """Return runs that began to post and have no row, and what a run does not account for exactly once."""
    found = sorted(evidence.opened - {run["run_id"] for run in evidence.runs})
    for run in evidence.runs:
        fates = [fate for fate in evidence.fates if fate["run_id"] == run["run_id"]]
        named = Counter(fate["reference_number"] for fate in fates)
        found += [f"{name} in {run['run_id']}" for name in evidence.references if named[name] != 1]
        counted = Counter(f"{fate['result']}_records" for fate in fates)
        if any(run[name] != counted[name] for name in DELIVERY_COUNTS):
            found.append(run["run_id"])
    return found


def _not_final(evidence: Evidence) -> list[str]:
    """Return what the last run does not report as there."""
    last = evidence.runs[-1]["run_id"] if evidence.runs else None
    there = {fate["reference_number"] for fate in evidence.fates if fate["run_id"] == last and fate["result"] in THERE}
    return sorted(set(evidence.references) - there)


def _not_created_once(evidence: Evidence) -> list[str]:
    created = Counter(fate["reference_number"] for fate in evidence.fates if fate["result"] == "created")
    return sorted(name for name in {*evidence.references, *created} if created[name] != 1)


def _posted_without_need(evidence: Evidence, server_kills: Sequence[float]) -> list[str]:
    """Return what was posted again after an answer that settled it and that its run could know of."""
    results = {(fate["run_id"], fate["reference_number"]): fate["result"] for fate in evidence.fates}
    posts: dict[str, list[Row]] = {}
    for post in evidence.posts:
        posts.setdefault(post["reference_number"], []).append(post)

    def has_need(first: Row, again: Row) -> bool:
        before, after = _run_at(evidence.runs, first["at"]), _run_at(evidence.runs, again["at"])
        if _settles_nothing(first) or _began_afresh(evidence.runs, before, after):
            return True
        if before != after:
            return results.get((_id(evidence, before), first["reference_number"])) == "unknown"
        return _may_not_have_arrived(first["at"], again["at"], server_kills)

    return sorted({name for name, sent in posts.items() if not all(has_need(*pair) for pair in pairwise(sent))})


def _may_not_have_arrived(sent: float, again: float, server_kills: Sequence[float]) -> bool:
    """Tell whether the client may have gone without the answer that the server has logged."""
    cut = any(sent <= kill <= min(again, sent + IN_FLIGHT_SECONDS) for kill in server_kills)
    return cut or again - sent >= TIME_OUT_SECONDS


def _settles_nothing(post: Row) -> bool:
    return post["status"] == HTTPStatus.TOO_MANY_REQUESTS or is_lost(post["status"])


def _run_at(runs: Sequence[Row], moment: float) -> int:
    """Return the number of the run that was under way; -1 for none."""
    return sum(_seconds(run["start_time"]) <= moment for run in runs) - 1


def _began_afresh(runs: Sequence[Row], before: int, after: int) -> bool:
    """Tell whether some run between the two left nothing open, so that the next one asked about every record anew."""
    return any(not run["unknown_records"] and not run["not_attempted_records"] for run in runs[max(before, 0) : after])


def _id(evidence: Evidence, number: int) -> str | None:
    return evidence.runs[number]["run_id"] if number >= 0 else None


def _seconds(moment: Any) -> float:
    return float(moment.replace(tzinfo=UTC).timestamp())


_CHECKS: dict[str, Callable[[Evidence], list[str]]] = {
    "nothing is lost": _lost,
    "nothing else is on the server": _foreign,
    "nothing is there twice": _duplicates,
    "the server holds what was sent": _differs,
    "the counts of every run close": _open_counts,
    "every run accounts for every record": _unaccounted,
    "the last run reports every record as there": _not_final,
    "every record is reported as created by one run": _not_created_once,
    "the token is in no file": lambda evidence: evidence.leaks,
    "no run ended in a traceback": lambda evidence: evidence.tracebacks,
}
