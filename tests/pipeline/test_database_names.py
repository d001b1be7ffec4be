"""What the database's file may be called: it works, and as a copy of another name too, or one line says why not."""

import shutil
from pathlib import Path

import pytest
import yaml

from loader.config import named_path
from loader.errors import Refused
from tests.support import GOLDEN, ROOT, Home

SCHEMAS = ["main", "temp", "system", "pg_catalog", "information_schema"]


def schemas_of_the_project() -> set[str]:
    project = yaml.safe_load((ROOT / "dbt_project.yml").read_text(encoding="utf-8"))
    found, left = set(), [project]
    while left:
        entry = left.pop()
        if isinstance(entry, dict):
            left += entry.values()
            found |= {value for key, value in entry.items() if key == "+schema"}
    return found


@pytest.mark.parametrize("name", sorted({*SCHEMAS, *schemas_of_the_project()}))
def test_a_name_that_a_schema_has_is_refused(name: str):
    for file in (f"{name}.duckdb", f".{name.upper()}.db.old", name):
        with pytest.raises(Refused, match=f"(?i)call the database '{name}', and a schema has that name"):
            named_path(file)


def test_a_sign_that_no_name_may_have_is_named(home: Home):
    for sign in ("'", '"', "#", "?", ";", "\n", "\x1b"):
        done = home.loader("status", ETL_DATABASE=str(home.folder / f"a{sign}b.duckdb"))
        assert done.returncode == 2
        assert f"the file's name has the sign {sign!r}" in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_the_users_folder_is_found():
    assert named_path("~/etl.duckdb") == Path.home() / "etl.duckdb"


@pytest.mark.dbt
def test_any_other_name_works_and_a_copy_of_another_name_goes_on(home: Home):
    database = home.folder / "-select ümlaut 1%41~.old.duckdb"
    done = home.loader("--validate-only", "--source", GOLDEN, ETL_DATABASE=str(database))
    assert done.returncode == 0, done.stderr
    for suffix in ("", ".seal"):
        shutil.copy(f"{database}{suffix}", f"{home.database}{suffix}")
    done = home.loader("--dry-run")
    assert done.returncode == 0, done.stderr
    done = home.dbt("build", "-q", "--select", "dim_entities", ETL_DATABASE=str(home.folder / "audit.duckdb"))
    assert done.returncode != 0
    assert "DuckDB would call the database 'audit'" in done.stdout
