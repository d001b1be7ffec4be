"""`python -m loader status`: the last runs, what waits for somebody, what to do next."""

import argparse
from collections.abc import Sequence

from loader.command import OneLineParser, guarded
from loader.config import load_settings
from loader.console import Page
from loader.errors import OK, SOME_RECORDS
from loader.trail.status_facts import read_facts
from loader.trail.status_next import next_command, waiting
from loader.trail.status_text import print_status
from loader.warehouse import Warehouse

# A scheduler asks again; a run holds the database for a moment at a time.
_WAIT_SECONDS = 5.0
_EPILOG = """\
examples:
  {prog}
  {prog} --json | jq -r '.waiting[]'
  {prog} > /dev/null || mail -s "the incident import waits for somebody" ...

What waits: runs that never finished, counts that do not close, open problems of severity error
(audit.rpt_open_problems), a failed last probe or dbt build.

exit codes:
  0  nothing waits    1  something does    2  refused: usage, no database    4  the database is held
"""


def parser(prog: str) -> argparse.ArgumentParser:
    """Return the parser of the command."""
    command = OneLineParser(prog, "Tell how the import stands and what waits for somebody.", _EPILOG.format(prog=prog))
    command.add_argument("--json", action="store_true", help="print one object")
    return command


def main(arguments: Sequence[str], prog: str) -> int:
    """Carry out one command line; return the exit code."""
    return guarded(lambda: _main(parser(prog).parse_args(arguments)))


def _main(options: argparse.Namespace) -> int:
    settings, console = load_settings(), Page(as_json=options.json)
    warehouse = Warehouse(settings.database, min(settings.lock_wait_seconds, _WAIT_SECONDS), console.notice)
    with warehouse.connection(read_only=True) as connection:
        facts = read_facts(connection, settings.database, settings.retention_days)
    waits, step = waiting(facts), next_command(facts)
    print_status(console, facts, waits, step)
    console.summary(facts | {"waiting": waits, "next": step})
    return SOME_RECORDS if waits else OK
