"""Which run is meant."""

from loader.errors import Refused
from loader.warehouse import Row, Warehouse

LAST = "last"
_NAMED = 3
# The order in which runs were written, which a clock that is set back does not change.
_RUN = """
    select * from audit.fct_runs where run_id = $run_id or $run_id = 'last' order by rowid desc limit 1
"""
_TRACE = """
    select
        coalesce(max(details ->> 'reason') filter (where action = 'run_refused'), '') as reason,
        bool_or(action = 'posting_started') as has_posted
    from audit.fct_run_events where run_id = ? having count(*) > 0
"""


def find_run(warehouse: Warehouse, run_id: str) -> Row:
    """Return the row of `audit.fct_runs` of a finished run; of the last one for `last`.

    Raises:
        Refused: there is no such run, or it has not come to an end.

    """
    found = warehouse.rows(_RUN, {"run_id": run_id})
    if found:
        return found[0]
    traces = warehouse.rows(_TRACE, [run_id])
    if not traces:
        raise _unknown(warehouse, run_id)
    if traces[0]["reason"]:
        raise Refused(f"run {run_id} was refused and wrote no file: {traces[0]['reason']}")
    then = "the next import accounts for it" if traces[0]["has_posted"] else "then run the same command again"
    raise Refused(f"run {run_id} did not end: it is under way, or was killed; {then}")


def known_run_id(warehouse: Warehouse, run_id: str) -> str:
    """Return the id of a run that has left anything in `audit`, finished or not; `last` is the last finished one.

    Raises:
        Refused: there is none.

    """
    if found := warehouse.rows(_RUN, {"run_id": run_id}):
        return str(found[0]["run_id"])
    if not warehouse.rows(_TRACE, [run_id]):
        raise _unknown(warehouse, run_id)
    return run_id


def _unknown(warehouse: Warehouse, run_id: str) -> Refused:
    if warehouse.rows("select 1 from audit.fct_probe_checks where run_id = ? limit 1", [run_id]):
        return Refused(
            f"run {run_id} was a contract probe whose document was not kept; audit.fct_probe_checks has its checks"
        )
    runs = warehouse.rows("select run_id from audit.fct_runs order by rowid desc limit ?", [_NAMED])
    if not runs:
        return Refused(f"{warehouse.path}: there is no run yet; run: python -m loader --validate-only")
    names = ", ".join(row["run_id"] for row in runs)
    return Refused(f"{warehouse.path}: no run {run_id[:80]!r}; the last ones are {names}; or say: {LAST}")
