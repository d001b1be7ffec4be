"""Which tests a build needs: those of seeds and cards try the code, and need not run again until that has changed."""

import hashlib

from loader.config import ROOT
from loader.errors import GateClosed
from loader.storage.warehouse import Warehouse

# Left out where they have passed, as by `dbt build --selector payload`.
_CODE_TESTS = ("--exclude", "tag:code")
_TREES = ("dbt_project", "data/reference")
_FILES = ("dbt_project.yml", "selectors.yml")
_PASSED = "select 1 from audit.fct_dbt_invocations where code_passed and code_digest = ? limit 1"


def code_digest() -> str:
    """Return the SHA-256 of the dbt project: models, cards, macros, tests and seeds."""
    files = [path for tree in _TREES for path in (ROOT / tree).rglob("*") if path.is_file()]
    digest = hashlib.sha256()
    for path in sorted([*files, *(ROOT / name for name in _FILES)]):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(ROOT)} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def selection(payload_model: str, warehouse: Warehouse, digest: str) -> tuple[str, ...]:
    """Return dbt's options for a payload: without the tests of the code where this very code has passed them here."""
    try:
        passed = warehouse.path.exists() and warehouse.rows(_PASSED, [digest])
    except GateClosed:  # a database that no build of this version has seen
        passed = False
    return ("--select", f"+{payload_model}", *(_CODE_TESTS if passed else ()))
