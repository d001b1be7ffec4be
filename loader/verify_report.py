"""What reading back has shown, for the summary."""

from loader.console import Console
from loader.job import Run

_NAMED = 5
_FOUND = """
    select result, is_ours, verdict, line_number, reference_number, differing_fields, count(*) over () as records
    from audit.fct_readback where run_id = ? and verdict = ? and is_ours = ? order by record_number limit ?
"""


def print_readback(console: Console, run: Run) -> None:
    """Write the counts, the first records that are not what was sent, and what that means."""
    if not run.readback:
        return
    counts = ", ".join(
        f"{name.replace('_', ' ')} {run.readback[name]:,}"
        for name in ("identical", "differs", "not_visible", "not_verified")
    )
    console.line(f"read back {run.readback['sampled']:,} = {counts}")
    _print_named(console, run, "differs", "created records are stored otherwise than they were sent", is_ours=True)
    _print_named(console, run, "not_visible", "created records are not on the platform", is_ours=True)
    if _print_named(console, run, "differs", "records that were there before differ from this file", is_ours=False):
        console.line("  running this again with corrected data does not update them: correct them on the platform")
    if _print_named(console, run, "not_visible", "records that exist cannot be seen", is_ours=False):
        console.line("  they are deleted, or another tenant's: ask the platform team")


def _print_named(console: Console, run: Run, verdict: str, text: str, *, is_ours: bool) -> bool:
    records = run.warehouse.rows(_FOUND, [run.run_id, verdict, is_ours, _NAMED])
    if not records:
        return False
    console.line(f"{'NOT PROVEN' if is_ours else 'warning'}: {records[0]['records']:,} {text}")
    for record in records:
        fields = f": {record['differing_fields']}" if record["differing_fields"] else ""
        console.line(f"  line {record['line_number']} ({record['reference_number']}){fields}")
    if records[0]["records"] > _NAMED:
        console.line(f"  ... and {records[0]['records'] - _NAMED:,} more, in audit.fct_readback")
    return True
