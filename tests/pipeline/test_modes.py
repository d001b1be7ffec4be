"""What is written is for its owner alone, even where the umask of the shell gives everybody everything."""

import stat
import sys
from pathlib import Path

import pytest

from loader.storage.files import tighten
from sandbox.process import Sandbox
from tests.support import ROOT, Home


def open_to_others(*folders: Path) -> dict[str, str]:
    """Return what stands in these folders, with its mode, and is not for its owner alone."""
    found = {path: stat.S_IMODE(path.stat().st_mode) for folder in folders for path in [folder, *folder.rglob("*")]}
    assert found
    return {str(path): oct(mode) for path, mode in found.items() if mode & 0o077}


def test_an_import_tightens_an_older_database_and_leaves_nothing_open(home: Home, sandbox: Sandbox):
    home.database.chmod(0o644)
    output = home.folder / "new" / "deeper"
    command = 'umask 0; exec "$0" -m loader --environment staging --import'
    done = home.run(["bash", "-c", command, sys.executable], ETL_OUTPUT_DIR=str(output))
    assert done.returncode == 0, done.stderr
    assert len(sandbox.records()) == 5
    assert open_to_others(home.folder / "new") == {}
    beside = {path.name: oct(stat.S_IMODE(path.stat().st_mode)) for path in home.folder.glob("etl.duckdb*")}
    assert beside == {"etl.duckdb": "0o600", "etl.duckdb.lock": "0o600", "etl.duckdb.seal": "0o600"}


def test_a_command_that_only_reads_tightens_it_too(home: Home):
    home.database.chmod(0o664)
    assert home.loader("audit-verify").returncode == 1
    assert stat.S_IMODE(home.database.stat().st_mode) == 0o600


@pytest.mark.dbt
def test_dbt_alone_creates_its_database_for_its_owner(empty_home: Home):
    folder, target = (empty_home.folder / name for name in ("data", "target"))
    target.mkdir(mode=0o755)
    variables = {"ETL_DATABASE": str(folder / "etl.duckdb"), "DBT_TARGET_PATH": str(target)}
    command = 'umask 0; exec "$0" --quiet seed --select issue_codes'
    done = empty_home.run(["bash", "-c", command, Path(sys.executable).parent / "dbt"], **variables)
    assert done.returncode == 0, done.stdout
    assert open_to_others(folder) == {}
    # What a variable names is whoever's it is, a folder of all programs perhaps.
    assert stat.S_IMODE(target.stat().st_mode) == 0o755
    ours = [path for path in (ROOT / "logs", ROOT / "target") if path.exists()]
    assert [path for path in ours if stat.S_IMODE(path.stat().st_mode) & 0o077] == []


def test_a_folder_that_all_may_write_to_stays_so(tmp_path: Path):
    tmp_path.chmod(0o1777)
    tighten(tmp_path)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o1777
    tmp_path.chmod(0o777)
    tighten(tmp_path)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700
