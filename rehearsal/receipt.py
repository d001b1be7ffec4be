"""The receipt of a rehearsal: what went in, what went wrong, what holds."""

from collections import Counter
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any

from rehearsal.checks import offenders
from rehearsal.evidence import Evidence
from rehearsal.plan import Plan
from rehearsal.server import Server
from rehearsal.supervisor import RunRecord, run_log

EXAMPLES = 10
Receipt = dict[str, Any]


def make_receipt(plan: Plan, evidence: Evidence, runs: Sequence[RunRecord], server: Server, *, done: bool) -> Receipt:
    """Return the receipt; its `all_hold` is true when the work was done and no check has an offender."""
    found = offenders(evidence, runs, server.killed_at)
    found["done within the bounds"] = [] if done else [f"{len(runs)} runs"]
    return {
        "all_hold": not any(found.values()),
        "seed": plan.seed,
        "records_in_the_file": len(evidence.references),
        "records_on_the_server": len(evidence.stored),
        "duplicates": len(found["nothing is there twice"]),
        "lost": len(found["nothing is lost"]),
        "unaccounted": len(found["every run accounts for every record"]),
        "runs": run_log(runs),
        "sandbox_killed_at": server.killed_at,
        "results": _results(evidence),
        "faults": _faults(plan, evidence, runs, server),
        "checks": {name: not listed for name, listed in found.items()},
        "offenders": {name: listed[:EXAMPLES] for name, listed in found.items() if listed},
    }


def _results(evidence: Evidence) -> dict[str, int]:
    """Return how often each result was reported, over all runs."""
    return dict(sorted(Counter(fate["result"] for fate in evidence.fates).items()))


def _faults(plan: Plan, evidence: Evidence, runs: Sequence[RunRecord], server: Server) -> dict[str, dict[str, int]]:
    """Return every kind of fault with the number of times it was planned, and that it happened."""
    planned, met = Counter[str](), Counter[str]()
    for fault in plan.faults:
        planned[fault.kind] += fault.count
    hit = {(fault.kind, fault.reference) for fault in plan.faults}
    for post in evidence.posts:
        if (post["fault"], post["reference_number"]) in hit:
            met[post["fault"]] += 1
    faults = {kind: {"planned": planned[kind], "happened": met[kind]} for kind in sorted(planned)}
    limited = sum(post["status"] == HTTPStatus.TOO_MANY_REQUESTS and not post["fault"] for post in evidence.posts)
    faults["refused by the rate limiter"] = {"happened": limited}
    faults["unanswered when the server was killed"] = {
        "happened": sum(post["status"] is None and not post["fault"] for post in evidence.posts)
    }
    restarts = sum(event.down is not None for event in plan.events)
    faults["kill -9 of the sandbox"] = {"planned": restarts, "happened": len(server.killed_at)}
    faults["outage of 503s"] = {"planned": len(plan.events) - restarts, "happened": server.outages}
    faults["kill -9 of the loader"] = {"planned": len(plan.kills), "happened": sum(run.killed for run in runs)}
    return faults


def print_receipt(receipt: Receipt, say: Callable[[str], None]) -> None:
    """Print the receipt for a person."""
    say(f"\nreceipt of rehearsal --seed {receipt['seed']} --records {receipt['records_in_the_file']}")
    say(f"{receipt['records_in_the_file']:>8,} records in the file")
    say(f"{receipt['records_on_the_server']:>8,} records on the server")
    for name in ("duplicates", "lost", "unaccounted"):
        say(f"{receipt[name]:>8,} {name}")
    killed = sum(run["killed"] for run in receipt["runs"])
    results = ", ".join(f"{name} {count:,}" for name, count in receipt["results"].items())
    say(f"{len(receipt['runs']):>8,} runs, {killed} of them killed; over all runs: {results}")
    say("faults, happened of planned:")
    for name, fault in receipt["faults"].items():
        planned = f" of {fault['planned']}" if "planned" in fault else ""
        say(f"  {name:40}{fault['happened']:>6,}{planned}")
    for run in receipt["runs"]:
        if run["killed"]:
            say(f"  run {run['number']} killed {run['planned_kill']}")
    for name, holds in receipt["checks"].items():
        say(f"{name}: {'yes' if holds else 'NO'}")
        for offender in receipt["offenders"].get(name, ()):
            say(f"  {offender}")
