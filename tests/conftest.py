"""Fixtures: one dbt build of the golden sample per session, one home and one sandbox per test."""

import fcntl
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from sandbox.process import Sandbox
from tests.history import Once, long_history, old, sealed_history, trail  # noqa: F401 - fixtures
from tests.support import Home, new_home
from tests.warm import running_sandbox

# Neither a busy machine nor chance lets a test fail.
hypothesis.settings.register_profile("steady", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("steady")
# The files that take longest; begun first, they leave no worker alone with one of them at the end.
SLOWEST = (
    "test_runbook",
    "test_kill",
    "test_demo",
    "test_extending",
    "test_benchmarks",
    "test_own_build",
    "test_exceptions",
    "test_rehearse",
    "test_unfinished",
    "test_gate",
    "test_delivery_stops",
    "test_bad_records",
    "test_output_hash",
    "test_delivery",
    "test_reports",
    "test_verify",
    "test_dbt_project",
    "test_explain",
    "test_prune",
    "test_remade",
    "test_seals",
    "test_locks",
    "test_one_run",
)
# What a test needs that takes one of these fixtures.
NEEDS = {
    "dbt": {"built", "hashed", "pipeline", "thousand"},
    "server": {"api", "lenient", "limited", "sandbox", "server", "servers"},
    "browser": {"chromium"},
    "rehearsal": {"rehearsed"},
}
# The marks by which make test-fast leaves a test out, the rarest first.
REASONS = ("rehearsal", "mutations", "browser", "kill", "dbt", "server")
LEFT_OUT = pytest.StashKey[Counter[str]]()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a build or a server. Begin with the slowest files, in this order; the rest stays in its order."""
    places = {stem: place for place, stem in enumerate(SLOWEST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(places)))
    for item in items:
        for need, fixtures in NEEDS.items():
            if fixtures.intersection(getattr(item, "fixturenames", ())):
                item.add_marker(need)


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    """Count what is left out by its marks, each under the first of them that says why."""
    for item in items:
        marks = {mark.name for mark in item.iter_markers()}
        reason = next((reason for reason in REASONS if reason in marks), None)
        if reason and item.config.option.markexpr:
            item.config.stash.setdefault(LEFT_OUT, Counter())[reason] += 1


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Let the process that prints know what its workers left out."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_out"] = dict(session.config.stash.get(LEFT_OUT, Counter()))


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take over what a worker left out; every worker leaves out the same."""
    node.config.stash[LEFT_OUT] = Counter(getattr(node, "workeroutput", {}).get("left_out", {}))


def pytest_unconfigure(config: pytest.Config) -> None:
    """Say in the last line what was left out."""
    left_out = config.stash.get(LEFT_OUT, Counter())
    if left_out and not hasattr(config, "workerinput"):
        each = ", ".join(f"{count} {name}" for name, count in left_out.most_common())
        print(f"left out {left_out.total()} tests: {each}; `make test` runs everything")


@pytest.fixture(scope="session")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of this worker's homes."""
    return tmp_path_factory.mktemp("homes")


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Once:
    """Return what fills a folder once for all workers; the others wait for the first."""
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if hasattr(request.config, "workerinput") else own

    def filled_once(name: str, fill: Callable[[Path], None]) -> Path:
        folder, done = shared / name, shared / f"{name}.done"
        with (shared / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                fill(folder)
                done.touch()
        return folder

    return filled_once


@pytest.fixture(scope="session")
def built(once: Once) -> Path:
    """Return a database in which `dbt build` has built and tested the golden sample."""

    def build(folder: Path) -> None:
        done = new_home(folder).dbt("build", "--exclude-resource-type", "unit_test")
        assert done.returncode == 0, done.stdout

    return Home(once("built", build)).database


@pytest.fixture
def place(workplace: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """Return the folder for this test's home, whose path is every test's: dbt parses anew for a database elsewhere."""
    folder = workplace / "home"
    yield folder
    name = "".join(char if char.isalnum() else "_" for char in request.node.name)
    kept = workplace / f"{request.module.__name__.rpartition('.')[2]}_{name}"[:120]
    if folder.exists():
        folder.rename(kept)


@pytest.fixture
def empty_home(place: Path) -> Home:
    """Return a home without a database."""
    return new_home(place)


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    """Return a sandbox of this test's own, which says that it is staging."""
    with running_sandbox(tmp_path / "sandbox.sqlite", "--environment", "staging") as running:
        yield running


@pytest.fixture
def home(place: Path, built: Path, sandbox: Sandbox) -> Home:
    """Return a home with the golden sample built, whose staging environment is the sandbox."""
    return new_home(place, built, QGP_STAGING_API_URL=sandbox.url, QGP_API_TOKEN=sandbox.token())
