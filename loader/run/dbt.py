"""Runs `dbt build` in a process of its own and says in one line why it could not build, when it could not.

What dbt did comes back through a file without a name that this process alone was given, so that no other dbt command
in the same checkout can be taken for it.
"""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO

from loader.config import (
    DATABASE,
    DATABASE_VARIABLE,
    ENTITY_VARIABLE,
    ROOT,
    SOURCE_VARIABLE,
    TOKEN_COMMAND_VARIABLE,
    TOKEN_VARIABLE,
)
from loader.errors import DatabaseLocked, EtlError, SourceRefused, StoppedEarly
from loader.landing.dates import dates_variables
from loader.landing.dialect import dialect_variables
from loader.landing.handover import Handover
from loader.landing.spool import new_spools, spool_file
from loader.run.code import code_digest, selection
from loader.run.job import VALIDATE_ONLY, Job, Run
from loader.storage.files import PRIVATE_UMASK
from loader.storage.warehouse import holder_of

_REFUSAL = re.compile(r"SourceRefused: (.+)")
# No --target: dbt keeps what it has parsed only while that flag is as it was, and `dbt build` by hand has none. The
# target is the default one of our own profiles.yml all the same, because DBT_TARGET does not reach dbt.
_ARGUMENTS = (
    *("--no-use-colors", "build", "--project-dir", str(ROOT), "--profiles-dir", str(ROOT)),
    *("--exclude-resource-type", "unit_test"),
)
_LOG = "see logs/dbt.log"
# More bytes than its lines on a few hundred nodes.
_MOST_PROGRESS = 1 << 20
# How the payload is materialized; a table where it is not set.
PAYLOAD_VARIABLE = "ETL_PAYLOAD"
# What the tests of the code are of; dbt writes it down with their results.
CODE_VARIABLE = "ETL_CODE_DIGEST"
# Where dbt writes about itself; every other variable of dbt's can change what is built, or where.
_KEPT = re.compile(r"DBT_TARGET_PATH|DBT_LOG_\w+")
# Free for a project's own use; ours has none.
_UNUSED = re.compile(r"DBT_ENV_\w+")


@dataclass(frozen=True)
class NodeRun:
    """How one model, seed or test fared; `relation` is where a failed test has kept its rows."""

    unique_id: str
    status: str
    message: str | None
    relation: str | None

    @property
    def kind(self) -> str:
        """Return `model`, `seed` or `test`."""
        return self.unique_id.partition(".")[0]

    @property
    def name(self) -> str:
        """Return its name without the project's."""
        return self.unique_id.split(".")[2]


@dataclass(frozen=True)
class Build:
    """A finished `dbt build`: which one, of which file, how its nodes fared."""

    invocation_id: str
    source_sha256: str
    nodes: tuple[NodeRun, ...]

    @property
    def complete(self) -> bool:
        """Tell whether no model was skipped."""
        return not any(node.kind == "model" and node.status == "skipped" for node in self.nodes)

    @property
    def tests_passed(self) -> int:
        """Return the number of tests that passed or only warned."""
        return sum(node.kind == "test" and node.status in ("pass", "warn") for node in self.nodes)

    @property
    def tests_failed(self) -> tuple[str, ...]:
        """Return the names of the tests that failed or could not run."""
        return tuple(node.name for node in self._failing())

    @property
    def failures(self) -> tuple[str, ...]:
        """Return the tables with the rows that the failed tests have kept."""
        return tuple(node.relation for node in self._failing() if node.status == "fail" and node.relation)

    def _failing(self) -> list[NodeRun]:
        return [node for node in self.nodes if node.kind == "test" and node.status in ("fail", "error")]


def dbt_build(source: Path, run: Run) -> Build:
    """Land `source` and build and test the lineage of its entity down to the payload.

    For a validation the payload is a view, with the same tests and digest: what nobody sends need not be written down.
    Left out are the unit tests, the tests of seeds and cards that have passed before (`code`), and the audit models,
    whose tables and views the on-run-start hook makes. The file is scanned while dbt starts.

    Raises:
        SourceRefused: the file cannot be trusted at all; dbt is ended before it lands anything.
        DatabaseLocked: another process holds the database.
        StoppedEarly: dbt was killed, or a seed or card was changed meanwhile.
        EtlError: a model or seed could not be built.

    """
    job, console, database = run.job, run.console, run.settings.database
    database.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryFile() as output, TemporaryFile() as results, new_spools() as spools, Handover(spools) as handover:
        digest = code_digest()
        own = _own_variables(source, job, database) | {CODE_VARIABLE: digest}
        variables = environment_of_dbt(console.notice) | own | handover.variables
        with (
            start_dbt(
                (*_ARGUMENTS, *selection(job.card.payload_model, run.warehouse, digest)),
                variables,
                (results.fileno(), *handover.descriptors),
                output.fileno(),
            ) as dbt,
            console.busy(f"dbt build of {source.name}", lambda: _progress(results)),
        ):
            handover.given()
            spooled = spool_file(source, job.card.source_columns, job.dialect, run.settings.source, spools)
            handover.tell(spooled)
            status = dbt.wait()
        output.seek(0)
        results.seek(0)
        if status < 0:
            raise StoppedEarly(f"dbt was killed by signal {-status}; run the same command again")
        written = results.read()
        if not written.endswith(b"}"):
            raise _could_not_start(output.read().decode(errors="replace"), database)
    document = json.loads(written.splitlines()[-1])
    nodes = tuple(NodeRun(**node) for node in document["nodes"])
    for node in nodes:
        if node.status == "error" and node.kind != "test":
            raise _could_not_build(node, database)
    if code_digest() != digest:
        raise StoppedEarly(
            "a seed, a card or another file of the dbt project was changed while dbt was at work; run again"
        )
    return Build(document["invocation_id"], spooled.sha256, nodes)


@contextmanager
def start_dbt(
    arguments: Sequence[str], variables: Mapping[str, str], descriptors: Sequence[int], output: int
) -> Iterator[subprocess.Popen[bytes]]:
    """Start dbt with these arguments and environment variables alone; leaving it ends the process.

    The first of the `descriptors`, all of which the process gets, takes its results; `output` takes what it prints.
    dbt ends by itself when this process dies.
    """
    alive, held = os.pipe()
    command = [sys.executable, "-m", "loader.run.start_dbt", str(descriptors[0]), str(alive), *arguments]
    try:
        process = subprocess.Popen(  # noqa: S603 - our own arguments
            command,
            cwd=ROOT,
            env=dict(variables),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=(*descriptors, alive),
            umask=PRIVATE_UMASK,
        )
    finally:
        os.close(alive)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait()
        os.close(held)


def environment_of_dbt(notify: Callable[[str], None]) -> dict[str, str]:
    """Return the variables for dbt: without the token, the way to it, and what would let it build something else."""
    variables = {
        name: value for name, value in os.environ.items() if name not in (TOKEN_VARIABLE, TOKEN_COMMAND_VARIABLE)
    }
    dropped = [name for name in variables if name.startswith("DBT_") and not _KEPT.fullmatch(name)]
    told = sorted(name for name in dropped if not _UNUSED.fullmatch(name))
    if told:
        notify(f"not passed on to dbt, which builds this project into its own database: {', '.join(told)}")
    return {name: value for name, value in variables.items() if name not in dropped}


def _progress(results: BinaryIO) -> str:
    """Return how far dbt has come, by the last whole line that it has written."""
    lines = os.pread(results.fileno(), _MOST_PROGRESS, 0).split(b"\n")[:-1]
    if not lines:
        return "starting"
    last = json.loads(lines[-1])
    return f"{last['stage']}, {last['index']} of {last['total']}"


def _own_variables(source: Path, job: Job, database: Path) -> dict[str, str]:
    own = {
        SOURCE_VARIABLE: str(source),
        ENTITY_VARIABLE: job.card.entity,
        DATABASE_VARIABLE: _as_spelt(database),
        PAYLOAD_VARIABLE: "view" if job.mode == VALIDATE_ONLY else "table",
    }
    return own | dialect_variables(job.dialect) | dates_variables(job.dates)


def _as_spelt(database: Path) -> str:
    """Return the path as a build by hand has it, or dbt would parse everything anew; of a link the file."""
    spelt = os.environ.get(DATABASE_VARIABLE) or DATABASE
    return str(database) if (ROOT / spelt).name != database.name else spelt


def _could_not_build(node: NodeRun, database: Path) -> EtlError:
    message = node.message or ""
    if refusal := _REFUSAL.search(message):
        return SourceRefused(refusal[1])
    return _locked(message, database) or EtlError(
        f"dbt could not build {node.unique_id}: {_last_line(message)}; {_LOG}"
    )


def _could_not_start(output: str, database: Path) -> EtlError:
    return _locked(output, database) or EtlError(f"dbt could not start: {_last_line(output)}; {_LOG}")


def _locked(output: str, database: Path) -> EtlError | None:
    if not (holder := holder_of(output)):
        return None
    return DatabaseLocked(f"{database}: held by {holder}; end or wait for it, then run the same command again")


def _last_line(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it printed nothing"
