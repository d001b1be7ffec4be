"""A card or a map of enum values that is broken is refused in one line that names the file, by the probe too."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from loader import card
from probe.cli import main
from tests.support import CARD, ROOT

Change = Callable[[str], str]


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("incident.yml", lambda text: text + "\n  bad: [", "is not YAML"),
        ("incident.yml", lambda text: text.replace("models:", "model:"), "lacks 'models'"),
        ("incident.yml", lambda text: text.replace("endpoint:", "endpiont:"), "lacks 'endpoint'"),
        ("incident.yml", lambda text: text.replace("is_key:", "is_kee:"), "no single field with is_key"),
        ("incident.yml", lambda text: text.replace("entity: incident", "kind: incident"), "is not the card of a model"),
        (
            "incident.yml",
            lambda text: text.replace("look_up: search", "look_up: guess"),
            "look_up is 'guess', not search",
        ),
        ("incident.yml", lambda _: "- models", "is not the card of a model"),
        ("incident.yml", lambda text: text + "# caf\udce9", "cannot be read as UTF-8"),
        (
            "enum_map.csv",
            lambda text: text.replace("incident,severity,", "incident,sevrity,"),
            "has no line for severity",
        ),
        ("enum_map.csv", lambda text: text + "incident,severity\n", "has not the columns entity, field"),
        ("enum_map.csv", lambda text: text + "incident,severity,a,low,more\n", "has not the columns entity, field"),
        ("enum_map.csv", lambda text: text.replace("api_value", "value"), "enum_map.csv:2: has not the columns"),
        ("enum_map.csv", lambda text: text + "incident,severity,caf\udce9,low\n", "cannot be read as CSV in UTF-8"),
        ("enum_map.csv", lambda text: text + 'incident,severity,"a"b,low\n', "cannot be read as CSV"),
    ],
)
def test_a_broken_card_is_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    change: Change,
    says: str,
):
    shutil.copy(ROOT / "dbt_project" / "models" / "payload" / "incident.yml", tmp_path)
    shutil.copy(ROOT / "data" / "reference" / "enum_map.csv", tmp_path)
    path = tmp_path / name
    text = path.read_text(encoding="utf-8")
    assert change(text) != text
    path.write_bytes(change(text).encode(errors="surrogateescape"))
    monkeypatch.setattr(card, "CARDS", tmp_path)
    monkeypatch.setattr(card, "ENUM_MAP", tmp_path / "enum_map.csv")
    assert main(["--openapi", "nowhere"]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith(f"error: {path}")
    assert says in err


def test_an_entity_is_what_the_meta_of_a_card_says_whatever_its_file_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    shutil.copy(CARD.path, tmp_path / "another_name.yml")
    monkeypatch.setattr(card, "CARDS", tmp_path)
    assert card.entities() == ["incident"]
    assert card.read_card("incident").path == tmp_path / "another_name.yml"


def test_a_key_is_required_whatever_the_api_allows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    text = CARD.path.read_text(encoding="utf-8").replace("constraints: [{type: not_null}]", "constraints: []")
    (tmp_path / "incident.yml").write_text(text, encoding="utf-8")
    monkeypatch.setattr(card, "CARDS", tmp_path)
    assert [field.name for field in card.read_card("incident").fields if field.is_required] == [CARD.key]
