"""What one run is asked to do, and its state while it does it."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from loader.api.client import Api
from loader.audit.journal import Journal, new_run_id, now
from loader.audit.seals import Seal
from loader.card import Card
from loader.config import Settings
from loader.console import Console
from loader.delivery.pace import Pace
from loader.delivery.readback import ReadBack
from loader.delivery.stopwatch import Posting
from loader.delivery.verdict import Result
from loader.errors import GateClosed, RecordsRefused
from loader.landing.dates import Dates
from loader.landing.dialect import Dialect
from loader.run.payload import Totals
from loader.run.signals import Signals
from loader.storage.warehouse import Warehouse

VALIDATE_ONLY, DRY_RUN, IMPORT = "validate-only", "dry-run", "import"


@dataclass(frozen=True)
class Target:
    """Where an import goes: its API, and the probe that must pass before anything is posted, or else raises why not.

    A probe that has passed returns what keeps its result in `audit`, once dbt has built that.
    """

    address: str
    api: Api
    probe: Callable[["Run"], Callable[[], None]]


@dataclass(frozen=True)
class Job:
    """What was asked for; `source` is None for what the last `dbt build` built, `target` where nothing is sent.

    With `verify`, records are read back after an import: all of them, or `verify_sample` chosen at random.
    """

    mode: str
    environment: str
    card: Card
    source: Path | None
    batch_size: int
    dialect: Dialect = field(default_factory=Dialect)
    dates: Dates = field(default_factory=Dates)
    target: Target | None = None
    retry_failed: bool = False
    verify: bool = False
    verify_sample: int | None = None


@dataclass
class Run:
    """One run under way. `results` grows with every settled record.

    `totals` are there once dbt has validated the file. `closed_by` is what closed the gate. `seal` is the last one of
    the audit trail once the run is sealed.
    """

    job: Job
    settings: Settings
    console: Console
    warehouse: Warehouse
    journal: Journal
    pace: Pace
    started: datetime = field(default_factory=now)
    totals: Totals = field(init=False)
    closed_by: GateClosed | RecordsRefused | None = None
    results: Counter[Result] = field(default_factory=Counter)
    signals: Signals = field(default_factory=Signals)
    posting: Posting | None = None
    readback: ReadBack | None = None
    seal: Seal | None = None

    @property
    def run_id(self) -> str:
        """Return the id of the run; it sorts by time."""
        return self.journal.run_id


def new_run(job: Job, settings: Settings, console: Console) -> Run:
    """Return a run that has not begun yet."""
    return Run(
        job,
        settings,
        console,
        Warehouse(settings.database, settings.warehouse.lock_wait_seconds, console.notice),
        Journal(new_run_id(), job.card.entity),
        Pace(settings.delivery, console.notice),
    )
