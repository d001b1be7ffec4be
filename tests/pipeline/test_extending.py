"""The page on extending the project does what it says: its commands run in a copy, from the top to the bottom."""

import csv
import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support import COMMAND_SECONDS, ROOT, cloned_project

pytestmark = pytest.mark.dbt
PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(bash|text)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
# What runs write, and the files that they are tried with.
WRITTEN = ("data/etl_output", "data/etl.duckdb", "logs", "target", "data/try.csv", "data/etl_source")
CARD = "dbt_project/models/payload/inspection.yml"
CARD_ALONE = ("3. A new optional field", "4. A rule by a property", "6. Another limit", "7. A renamed source column")


class Step(NamedTuple):
    """One block of commands, the section that it stands in, and the lines that it has to print."""

    section: str
    commands: str
    lines: list[str]


def steps() -> list[Step]:
    """Return the steps of the page; a block of text is what the block of commands above it prints."""
    found: list[Step] = []
    for section in PAGE.split("\n## ")[1:]:
        for kind, text in BLOCK.findall(section):
            if kind == "bash":
                found.append(Step(section.partition("\n")[0], text, []))
            else:
                found[-1].lines.extend(text.splitlines())
    return found


def contents(folder: Path) -> dict[str, str]:
    """Return the digest of each file that is somebody's work, by its path."""
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {
        name: hashlib.sha256(path.read_bytes()).hexdigest()
        for name, path in files.items()
        if not name.startswith(WRITTEN) and "__pycache__" not in name and "/." not in f"/{name}"
    }


def run(step: Step, folder: Path) -> str:
    """Run the commands of a step as a person types them, with this Python first; return what they print."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("QGP_", "ETL_", "DBT_"))}
    # An installation of the copy's own would let `dbt` find its loader.
    own = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": str(folder)}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", step.commands],
        cwd=folder,
        env=inherited | own,
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )
    printed = done.stdout + done.stderr
    assert done.returncode == 0, f"{step.section}: {step.commands}\n{printed[-3000:]}"
    assert [line for line in step.lines if line not in printed] == [], f"{step.section}: {printed[-3000:]}"
    return printed


def test_every_command_works_as_typed_and_prints_what_the_page_shows(tmp_path: Path):
    folder = cloned_project(tmp_path / "clone")
    before = contents(folder)
    python = {name: digest for name, digest in before.items() if name.startswith(("loader/", "probe/"))}
    touched: dict[str, set[str]] = {}
    for step in steps():
        run(step, folder)
        after = contents(folder)
        touched.setdefault(step.section, set()).update(
            {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
        )
        before = after
    for section, names in touched.items():
        if section.startswith(CARD_ALONE):
            assert names == {CARD}, section
    assert touched["2. A new enum value"] == {"data/reference/enum_map.csv"}
    assert {name: before[name] for name in python} == python, "no Python of the product is touched"


def test_each_change_says_what_it_prints_when_it_is_right():
    shown = {step.section for step in steps() if step.lines}
    assert len(shown) == len(set(re.findall(r"^## (\d\. .+)$", PAGE, re.MULTILINE))) + 1 == 8
    assert any("the counts close" in step.lines for step in steps() if step.section == "1. A new entity")


def test_every_property_of_a_card_is_explained():
    macros = (ROOT / "dbt_project" / "macros" / "cards.sql").read_text(encoding="utf-8")
    listed = dict(re.findall(r"set (of_entity|of_field) = \[(.*?)\]", macros, re.DOTALL))
    with (ROOT / "data" / "reference" / "issue_codes.csv").open(encoding="utf-8", newline="") as file:
        codes = {row["code"] for row in csv.DictReader(file)}
    of_field, of_entity = PAGE.split("## The properties of a card")[1].split("Of an entity")
    for kind, section in (("of_field", of_field), ("of_entity", of_entity)):
        rows = re.findall(r"^\| `(\w+)` \| (.+?) \| ?(.*?) ?\|$", section, re.MULTILINE)
        assert sorted(name for name, _, _ in rows) == sorted(re.findall(r"'(\w+)'", listed[kind]))
        assert {code for *_, given in rows for code in re.findall(r"`(\w+)`", given)} <= codes
    reading = macros.partition("{% endmacro %}")[0]
    for kind, pattern in (
        ("of_field", r"(?<!config\.)\bmeta\.(?:get\(')?(\w+)"),
        ("of_entity", r"config\.meta\.(?:get\(')?(\w+)"),
    ):
        assert set(re.findall(pattern, reading.replace("column.config.meta", ""))) == set(
            re.findall(r"'(\w+)'", listed[kind])
        )
