"""What the tests share: an isolated home for one run of the commands, on a real database and a real server."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import duckdb
from jinja2 import Environment, StrictUndefined

from loader.card import read_card
from tests import warm

ROOT = Path(__file__).resolve().parents[1]
GOLDEN = ROOT / "data" / "etl_source" / "golden_sample_incidents.csv"
FIXTURES = ROOT / "tests" / "fixtures"
# The words of the tests: what they say of fields, limits and columns is read from the card.
CARD = read_card("incident")
FIELDS = {field.name: field for field in CARD.fields}
KEY_COLUMN = FIELDS[CARD.key].source_column
HEADER = ",".join(CARD.source_columns)
_EXPRESSIONS = Environment(undefined=StrictUndefined, autoescape=False)  # noqa: S701 - these files are ours, not a page
# Tells a command that hangs from one on a busy machine.
COMMAND_SECONDS = 600
Found = TypeVar("Found")
# The settings of the repository with every wait made short.
QUICK = {
    "lock_wait_seconds = 30": "lock_wait_seconds = 1",
    "backoff_seconds = 0.5": "backoff_seconds = 0.01",
    "backoff_max_seconds = 20": "backoff_max_seconds = 0.05",
    "connect_timeout_seconds = 5": "connect_timeout_seconds = 2",
    "read_timeout_seconds = 60": "read_timeout_seconds = 2",
    "rate_limit_window_seconds = 60": "rate_limit_window_seconds = 1.2",
}


@dataclass
class Home:
    """A database, an output folder and settings of a test's own; commands run there as a user would run them."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def database(self) -> Path:
        return self.folder / "etl.duckdb"

    @property
    def output(self) -> Path:
        return self.folder / "output"

    @property
    def target(self) -> Path:
        """Return where dbt keeps what it has parsed: beside the home, for the next one in the same place."""
        return self.folder.parent / "target" / self.folder.name

    def run(
        self, command: Sequence[str | Path], *, folder: Path = ROOT, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run one command to its end with this home's environment."""
        texts, variables = [str(part) for part in command], self.variables() | environment
        if warm.fits(texts, self.environment | environment):
            return warm.run(texts, variables, COMMAND_SECONDS, folder)
        return subprocess.run(
            texts, cwd=folder, env=variables, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False
        )

    def variables(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("QGP_", "ETL_", "DBT_"))}
        own = {
            "ETL_DATABASE": str(self.database),
            "ETL_OUTPUT_DIR": str(self.output),
            "ETL_CONFIG": str(self.folder / "etl.toml"),
            "ETL_ENTITY": CARD.entity,
            "DBT_TARGET_PATH": str(self.target),
            "DBT_LOG_PATH": str(self.folder / "logs"),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }
        return inherited | own | self.environment

    def loader(self, *arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run `python -m loader --environment staging ...`."""
        return self.run([sys.executable, "-m", "loader", *arguments], **({"ETL_ENVIRONMENT": "staging"} | environment))

    def probe(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return self.run([sys.executable, "-m", "probe", *arguments], **environment)

    def dbt(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return self.run([warm.DBT, "--no-use-colors", *arguments], **environment)

    def query(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.database)) as connection:
            return connection.execute(sql, list(parameters)).fetchall()

    def documents(self, kind: str) -> list[Any]:
        """Return the JSON files of one kind, oldest first."""
        return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(self.output.glob(f"{kind}_*.json"))]

    def csv(self, name: str, *records: str) -> Path:
        """Write a CSV with the golden sample's header and these records."""
        path = self.folder / name
        path.write_text("\n".join([HEADER, *records]) + "\n", encoding="utf-8")
        return path

    def settings(self, **replaced: str) -> None:
        """Write the quick settings, with further `key="key = value"` lines put in place of the repository's."""
        text = (ROOT / "etl.toml").read_text(encoding="utf-8")
        for before, after in QUICK.items():
            assert before in text, before
            text = text.replace(before, after)
        for key, value in replaced.items():
            lines = [line for line in text.splitlines() if line.startswith(f"{key} =")]
            assert len(lines) == 1, (key, lines)
            text = text.replace(lines[0], f"{key} = {value}")
        (self.folder / "etl.toml").write_text(text, encoding="utf-8")


def new_home(folder: Path, built: Path | None = None, **environment: str) -> Home:
    """Return a home in `folder`; with the database `built` copied into it."""
    folder.mkdir(parents=True, exist_ok=True)
    home = Home(folder, dict(environment))
    home.settings()
    if built:
        shutil.copy(built, home.database)
    return home


def copied_project(folder: Path) -> Path:
    """Copy what a pipeline run needs of the project into a new folder, to be changed; return the folder."""
    for name in ("dbt_project", "data/reference", "data/etl_source", "loader", "probe", "scripts"):
        shutil.copytree(ROOT / name, folder / name)
    for name in ("dbt_project.yml", "profiles.yml", "selectors.yml", "etl.toml"):
        shutil.copy(ROOT / name, folder / name)
    return folder


def cloned_project(folder: Path) -> Path:
    """Copy the project's files into a new folder, as a fresh clone has them; return the folder."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in listed.splitlines():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    return folder


def wait_for(find: Callable[[], Found | None], seconds: float = 120) -> Found:
    """Return what `find` finds, once it is true."""
    deadline = time.monotonic() + seconds
    while not (found := find()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
    return found


def filled(path: Path) -> bytes:
    """Return a fixture with each {{ expression }} over the card's fields worked out, every other byte as it is."""

    def value(found: re.Match[bytes]) -> bytes:
        expression = _EXPRESSIONS.compile_expression(found[1].decode(), undefined_to_none=False)
        return str(expression(FIELDS, header=HEADER)).encode()

    return re.sub(rb"\{\{ (.+?) \}\}", value, path.read_bytes())


def fixture(name: str, folder: Path) -> Path:
    """Write a fixture, filled, into this folder; return its path."""
    path = folder / Path(name).name
    path.write_bytes(filled(FIXTURES / name))
    return path
