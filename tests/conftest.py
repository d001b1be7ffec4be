"""Fixtures: one dbt build of the golden sample per worker, one home and one sandbox per test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.process import Sandbox, running_sandbox
from tests.history import long_history, old, sealed_history, trail  # noqa: F401 - fixtures
from tests.support import Home, new_home

# The files that take longest; begun first, they leave no worker alone with one of them at the end.
SLOWEST = (
    "test_kill",
    "test_unfinished",
    "test_exceptions",
    "test_runbook",
    "test_bad_records",
    "test_gate",
    "test_dbt_project",
    "test_output_hash",
    "test_rehearse",
    "test_reports",
    "test_verify",
    "test_remade",
    "test_delivery_stops",
    "test_mutations",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the slowest files, in this order; the order within a file stays."""
    places = {stem: place for place, stem in enumerate(SLOWEST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(places)))


@pytest.fixture(scope="session")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder in which this worker's homes stand, side by side, sharing dbt's parsed project."""
    return tmp_path_factory.mktemp("homes")


@pytest.fixture(scope="session")
def built(workplace: Path) -> Path:
    """Return a database in which `dbt build` has built and tested the golden sample."""
    home = new_home(workplace / "built")
    done = home.dbt("build")
    assert done.returncode == 0, done.stdout
    return home.database


@pytest.fixture
def empty_home(workplace: Path, request: pytest.FixtureRequest) -> Home:
    """Return a home without a database."""
    return new_home(_folder(workplace, request))


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    """Return a sandbox of this test's own, which says that it is staging."""
    with running_sandbox(tmp_path / "sandbox.sqlite", "--environment", "staging") as running:
        yield running


@pytest.fixture
def home(workplace: Path, request: pytest.FixtureRequest, built: Path, sandbox: Sandbox) -> Home:
    """Return a home with the golden sample built, whose staging environment is the sandbox."""
    variables = {"QGP_STAGING_API_URL": sandbox.url, "QGP_API_TOKEN": sandbox.token()}
    return new_home(_folder(workplace, request), built, **variables)


def _folder(workplace: Path, request: pytest.FixtureRequest) -> Path:
    name = "".join(char if char.isalnum() else "_" for char in request.node.name)
    return workplace / f"{request.module.__name__.rpartition('.')[2]}_{name}"[:120]
