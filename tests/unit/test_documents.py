"""Documentation that can fail: what the commands know, the pages name."""

import csv
import re
from importlib import import_module
from pathlib import Path

from loader import cli
from loader.commands import COMMANDS
from probe import cli as probe_cli
from probe.finding import Kind
from tests.support import ROOT

PAGES = (ROOT / "README.md").read_text(encoding="utf-8") + (ROOT / "RUNBOOK.md").read_text(encoding="utf-8")
RUNBOOK = (ROOT / "RUNBOOK.md").read_text(encoding="utf-8")


def flags(parser_help: str) -> set[str]:
    return set(re.findall(r"--[a-z-]+", parser_help)) - {"--help"}


def test_every_command_is_documented():
    assert {name for name in COMMANDS if f"python -m loader {name}" not in RUNBOOK} == set()


def test_every_flag_is_documented():
    parsers = [cli.parser, probe_cli.parser, *(import_module(command.module).parser for command in COMMANDS.values())]
    known = {flag for parser in parsers for flag in flags(parser("etl").format_help())}
    assert known >= {"--environment", "--validate-only", "--dry-run", "--import", "--source", "--batch-size"}
    assert {flag for flag in known if flag not in PAGES} == set()


def test_every_environment_variable_is_documented():
    sources = [
        *(ROOT / "loader").rglob("*.py"),
        *(ROOT / "probe").glob("*.py"),
        ROOT / "etl.toml",
        ROOT / "profiles.yml",
    ]
    named = {
        name for path in sources for name in re.findall(r"\b(?:QGP|ETL)_[A-Z_]+\b", path.read_text(encoding="utf-8"))
    }
    assert "QGP_API_TOKEN" in named
    assert {name for name in named if f"`{name}`" not in RUNBOOK} == set()


def test_every_issue_code_has_its_row():
    with (ROOT / "data" / "reference" / "issue_codes.csv").open(encoding="utf-8", newline="") as file:
        codes = list(csv.DictReader(file))
    for code in codes:
        row = next((line for line in RUNBOOK.splitlines() if line.startswith(f"| `{code['code']}` |")), "")
        assert f"| {code['severity']} | {code['meaning']} |" in row, code


def test_every_kind_of_difference_has_its_row():
    section = RUNBOOK.split("### The probe fails")[1].split("### Validation fails")[0]
    named = {
        kind
        for line in section.splitlines()
        if line.startswith("| `")
        for kind in re.findall(r"`(\w+)`", line.split("|")[1])
    }
    assert {kind.value for kind in Kind} - named == set()


def test_every_quoted_message_is_one_of_ours():
    section = RUNBOOK.split("## 6. Troubleshooting")[1].split("## 6b.")[0]
    quoted = {
        text
        for line in section.splitlines()
        if line.startswith("| `") and "| error |" not in line and "| warning |" not in line
        for text in re.findall(r"`([^`]+)`", line.split("|")[1])
    }
    ours = "\n".join(
        path.read_text(encoding="utf-8") for folder in ("loader", "probe") for path in (ROOT / folder).rglob("*.py")
    )
    assert len(quoted) > 20
    assert {text for text in quoted if not all(part in ours for part in re.split(r" ?\.\.\. ?|\d{3} ", text))} == set()


def test_every_setting_is_explained():
    for line in (ROOT / "etl.toml").read_text(encoding="utf-8").splitlines():
        if line.startswith(("backoff_seconds", "max_attempts", "lock_wait", "batch_size")):
            assert "#" in line, line


def test_every_table_of_the_pages_exists():
    named = set(re.findall(r"\b(?:audit|payload|validation|landing|staging|contract)\.([a-z_]+)", PAGES))
    models = {path.stem for path in Path(ROOT / "dbt_project" / "models").rglob("*.*")}
    assert named
    assert {name for name in named if not name.endswith("_")} - models == set()
