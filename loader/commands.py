"""The commands on the audit trail: `python -m loader <command>`."""

from typing import NamedTuple


class Command(NamedTuple):
    """A command: its module, with `parser(prog)` and `carry_out(options)`, and its text for --help."""

    module: str
    text: str


COMMANDS = {
    "explain": Command(
        "loader.explain.command", "what happened to one record, from its line in the file to the API's answer"
    ),
    "status": Command(
        "loader.reports.status",
        "the last runs, what waits for somebody, what to do next; exit code 1 when something does",
    ),
    "report": Command(
        "loader.reports.command", "the files of a run again, as HTML, or an rpt_ table as CSV, Parquet or JSON"
    ),
    "audit-verify": Command(
        "loader.audit.verify", "prove that no audit row was changed, added or removed since it was written"
    ),
    "prune": Command("loader.audit.prune", "remove audit rows and files older than the retention, leaving a receipt"),
}
