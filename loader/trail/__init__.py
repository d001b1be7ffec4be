"""The commands that read, keep and prove the audit trail: `python -m loader <command>`."""

from importlib import import_module

# The module of each command has `main(arguments, prog)`, which returns the exit code; the text is for --help.
COMMANDS = {
    "explain": "what happened to one record, from its line in the file to the API's answer",
    "status": "the last runs, what waits for somebody, what to do next; exit code 1 when something does",
    "report": "the files of a run again, as HTML, or an rpt_ table as CSV, Parquet or JSON",
    "audit-verify": "prove that no audit row was changed, added or removed since it was written",
    "prune": "remove audit rows and files older than the retention, leaving a receipt",
}


def module_of(name: str) -> str:
    """Return the dotted name of the module of one of `COMMANDS`."""
    return f"{__name__}.{name.replace('-', '_')}"


def run_command(name: str, arguments: list[str], prog: str) -> int:
    """Carry out one of `COMMANDS`; only its own modules are loaded."""
    code: int = import_module(module_of(name)).main(arguments, f"{prog} {name}")
    return code
