"""The promises of the design about the code itself: who imports what, who names a field, how long a function may be."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from loader.card import entities, read_card
from tests.support import ROOT

PYTHON = sorted(path for folder in ("loader", "probe") for path in (ROOT / folder).rglob("*.py"))
MODELS = sorted((ROOT / "dbt_project" / "models").rglob("*.sql"))
OUR_FOLDERS = ("loader", "probe", "sandbox", "rehearsal", "benchmarks")
MAX_FUNCTION, MAX_MODEL = 60, 75
# The audit trail joins five tables, open problems seven, issues are put together and explained; every other model is
# one idea.
LONGER_MODELS = {"rpt_audit_trail.sql": 110, "rpt_open_problems.sql": 95, "int_incident_issues.sql": 100}
# From the ground up; what is in one line may import each other where there is no cycle. The last is the door.
LAYERS = (
    ("loader.errors", "loader.interrupt"),
    ("loader.config", "loader.steps", "loader.storage", "loader.card", "loader.command", "loader.console"),
    ("loader.api", "loader.landing"),
    ("loader.audit",),
    ("loader.delivery",),
    ("loader.run",),
    ("loader.reports",),
    ("loader.explain", "probe"),
    ("loader",),
)
# Words that are a field of the API and also something of ours; everything else that equals a field's name is a leak.
OUR_OWN_WORDS = {
    "reference_number": "column of audit.fct_records, fct_issues, fct_changes and fct_import_records",
    "status": "column of audit.fct_records and fct_dbt_results, and a key of GET /health",
    "severity": "column of audit.fct_issues",
}


def imported_by(path: Path) -> set[str]:
    """Return the dotted names of the modules that a file imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            names.add(node.module or "")
    return names


def importers_of(package: str) -> set[str]:
    return {
        str(path.relative_to(ROOT))
        for path in PYTHON
        if any(name.split(".")[0] == package for name in imported_by(path)) and path.parts[-2] != package
    }


def literals(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the text literals of a file with their lines; docstrings and the text within f-strings are left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            skipped.add(id(node.value))
        if isinstance(node, ast.JoinedStr):
            skipped |= {id(part) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in skipped:
            yield node.lineno, node.value


def lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def modules() -> dict[str, set[str]]:
    """Return every module of loader and probe with those of them that it imports."""
    names = {module_of(path): path for path in PYTHON}
    found: dict[str, set[str]] = {}
    for name, path in names.items():
        imported = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                imported |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        found[name] = imported & set(names)
    return found


def layer_of(module: str) -> int:
    """Return the number of the layer, from 0, whose folder or module this is; a folder counts before the door."""
    for number, layer in enumerate(LAYERS):
        if any(module == name or module.startswith(f"{name}.") for name in layer):
            return number
    raise AssertionError(module)


def test_imports_run_downward():
    assert {
        f"{module} imports {other}"
        for module, imported in modules().items()
        for other in imported
        if other != "loader" and layer_of(other) > layer_of(module)
    } == set()


def test_no_module_imports_itself_by_way_of_others():
    left = modules()
    while leaves := {name for name, imported in left.items() if not imported & set(left)}:
        left = {name: imported for name, imported in left.items() if name not in leaves}
    assert left == {}


@pytest.mark.parametrize("folder", [*OUR_FOLDERS, "scripts"])
def test_functions_are_short(folder: str):
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files
    assert [
        f"{path.name}:{node.lineno} {node.name}"
        for path in files
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno >= MAX_FUNCTION
    ] == []


@pytest.mark.parametrize(
    ("package", "allowed"),
    [
        ("duckdb", {"loader/storage/warehouse.py"}),
        ("requests", {"loader/api/client.py"}),
        ("urllib3", {"loader/api/client.py"}),
        ("sandbox", set()),
        ("tests", set()),
        ("probe", {"loader/cli.py"}),
    ],
)
def test_imported_in_one_place_only(package: str, allowed: set[str]):
    assert importers_of(package) == allowed


def test_no_python_file_names_a_field_or_an_entity():
    named = {name for entity in entities() for name in (entity, *(field.name for field in read_card(entity).fields))}
    assert set(OUR_OWN_WORDS) < named, "an allowed word is no field any more"
    leaks = {
        f"{path.relative_to(ROOT)}:{line}: {text!r}"
        for path in PYTHON
        for line, text in literals(path)
        if text in named - set(OUR_OWN_WORDS)
    }
    assert leaks == set()


def test_the_allowed_words_are_in_use():
    used = {text for path in PYTHON for _, text in literals(path)}
    assert set(OUR_OWN_WORDS) <= used


def test_models_are_short_and_end_in_their_last_cte():
    assert MODELS
    for path in MODELS:
        assert lines(path) <= LONGER_MODELS.get(path.name, MAX_MODEL), path.name
        last = path.read_text(encoding="utf-8").strip().splitlines()[-1]
        assert re.fullmatch(r"select \* from \w+|\{\{ \w+\(.*\) \}\}", last), f"{path.name}: {last}"


def test_nothing_catches_every_exception():
    broad = {
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in PYTHON
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or {"Exception", "BaseException"} & names_in(node.type))
        and ast.dump(node.body[-1]) != ast.dump(ast.Raise())  # cleans up and raises it again
    }
    assert broad == set()


def names_in(node: ast.expr) -> set[str]:
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}


@pytest.mark.parametrize("entity", entities())
def test_the_card_read_from_yml_is_the_one_that_dbt_published(entity: str, built: Path):
    card = read_card(entity)
    with duckdb.connect(str(built), read_only=True) as connection:
        published = connection.execute(
            "select field, source_column, is_required, is_key, max_length, format, enum_values, is_enum, is_stripped "
            "from contract.dim_payload_fields where entity = ? order by field_position",
            [entity],
        ).fetchall()
        of_entity = connection.execute(
            "select endpoint, create_schema, payload_relation, payload_node "
            "from contract.dim_entities where entity = ?",
            [entity],
        ).fetchall()
    read = [
        (
            field.name,
            field.source_column,
            field.is_required,
            field.is_key,
            field.max_length,
            field.format,
            list(field.enum_values) if field.enum_values else None,
            field.enum_values is not None,
            field.is_stripped,
        )
        for field in card.fields
    ]
    assert read == published
    assert of_entity == [
        (card.endpoint, card.create_schema, f"payload.{card.payload_model}", f"model.incident_etl.{card.payload_model}")
    ]
