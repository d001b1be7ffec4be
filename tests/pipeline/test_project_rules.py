"""The rules of dbt-project-evaluator that make sense here, on the manifest; the package comes from dbt's hub alone.

Left out: its limits of fan-out and of models without children (the loader reads them), and its rules for sources joined
into models and for staging models per source (an entity has one source, which landing alone names).
"""

import json
import re
from typing import Any

import pytest

from tests.support import ROOT, Home, new_home

pytestmark = pytest.mark.dbt
LAYERS = {
    "reference": r"\w+",
    "contract": r"dim_\w+",
    "landing": r"raw_\w+",
    "staging": r"stg_\w+",
    "validation": r"int_\w+",
    "payload": r"fct_\w+_payload",
    "audit": r"(fct|rpt|int)_\w+",
}
# An event may happen twice, and neither the events nor the trail made of them have a key.
WITHOUT_KEY = {"fct_run_events", "rpt_audit_trail"}
# What each layer may read, besides itself.
READS = {
    "contract": {"reference"},
    "landing": {"contract"},
    "staging": {"reference", "landing"},
    # Validation compares with the cells of the file as they were.
    "validation": {"reference", "landing", "staging"},
    "payload": {"contract", "staging", "validation"},
    "audit": {"reference"},
}
AT_MOST_VIEWS_IN_A_ROW = 6


@pytest.fixture(scope="module")
def manifest(workplace: Any) -> dict[str, Any]:
    home: Home = new_home(workplace / "rules")
    done = home.dbt("parse")
    assert done.returncode == 0, done.stdout
    parsed: dict[str, Any] = json.loads((home.target / "manifest.json").read_text(encoding="utf-8"))
    return parsed


def of_kind(manifest: dict[str, Any], *kinds: str) -> list[dict[str, Any]]:
    nodes = [node for node in manifest["nodes"].values() if node["resource_type"] in kinds]
    assert nodes
    return nodes


def layer(node: dict[str, Any]) -> str:
    found: str = node["schema"]
    return found


def parents(manifest: dict[str, Any], node: dict[str, Any]) -> list[dict[str, Any]]:
    return [manifest["nodes"][name] for name in node["depends_on"]["nodes"] if name in manifest["nodes"]]


def test_a_node_is_named_tagged_and_placed_by_its_layer(manifest: dict[str, Any]):
    for node in of_kind(manifest, "model", "seed"):
        assert re.fullmatch(LAYERS[layer(node)], node["name"]), node["unique_id"]
        assert layer(node) in node["tags"], node["unique_id"]
        assert node["group"], node["unique_id"]
        if node["resource_type"] == "model":
            assert node["fqn"][1] == layer(node), node["unique_id"]


def test_a_layer_reads_only_those_above_it(manifest: dict[str, Any]):
    for node in of_kind(manifest, "model"):
        read = {layer(parent) for parent in parents(manifest, node)}
        assert read <= READS[layer(node)] | {layer(node)}, node["unique_id"]


def test_what_others_read_has_a_contract_and_nothing_else_is_public(manifest: dict[str, Any]):
    for node in of_kind(manifest, "model"):
        is_for_others = layer(node) == "payload" or node["name"].startswith("rpt_")
        assert node["access"] == ("public" if is_for_others else "private"), node["unique_id"]
        assert node["config"]["contract"]["enforced"] == is_for_others, node["unique_id"]
    for exposure in manifest["exposures"].values():
        assert {node["access"] for node in parents(manifest, exposure)} == {"public"}, exposure["name"]
        assert exposure["owner"]["name"]


def test_every_table_that_people_read_has_a_tested_key(manifest: dict[str, Any]):
    tested = {
        test["attached_node"]
        for test in of_kind(manifest, "test")
        if (test.get("test_metadata") or {}).get("name") == "primary_key"
    }
    (of_audit,) = [test for test in of_kind(manifest, "test") if test["name"] == "audit_keys_hold"]
    assert "meta.get('primary_key')" in of_audit["raw_code"]
    keyed = {node["unique_id"] for node in of_kind(manifest, "model") if node["config"]["meta"].get("primary_key")}
    wanted = {
        node["unique_id"]: node
        for node in of_kind(manifest, "model")
        if node["name"][:4] in ("dim_", "stg_", "fct_", "rpt_")
    }
    assert {wanted[name]["name"] for name in wanted.keys() - tested - keyed} == WITHOUT_KEY


def test_every_macro_is_described(manifest: dict[str, Any]):
    project = manifest["metadata"]["project_name"]
    macros = [macro for macro in manifest["macros"].values() if macro["package_name"] == project]
    undescribed = {
        macro["name"]
        for macro in macros
        if not macro["description"] and not macro["name"].startswith(("test_", "materialization_"))
    }
    assert undescribed == set()
    shown = [macro for macro in macros if macro["docs"]["show"] and macro["description"]]
    assert all(
        {argument["name"] for argument in macro["arguments"]}
        for macro in shown
        if "entity" in macro["macro_sql"].split("%}")[0]
    )


def test_no_model_names_a_relation_by_hand(manifest: dict[str, Any]):
    for node in of_kind(manifest, "model"):
        assert not re.search(rf"\b(from|join) ({'|'.join(LAYERS)})\.", node["raw_code"]), node["unique_id"]


def test_views_on_views_end_somewhere(manifest: dict[str, Any]):
    def depth(node: dict[str, Any]) -> int:
        if node["config"]["materialized"] not in ("view", "made_by_hook") or node["name"].startswith("fct_"):
            return 0
        return 1 + max(map(depth, parents(manifest, node)), default=0)

    assert max(map(depth, of_kind(manifest, "model"))) <= AT_MOST_VIEWS_IN_A_ROW


def test_a_model_has_parents_or_is_a_beginning(manifest: dict[str, Any]):
    for node in of_kind(manifest, "model"):
        begins = node["name"] == "dim_entities" or (layer(node) == "audit" and node["name"].startswith("fct_"))
        assert bool(node["depends_on"]["nodes"]) != begins, node["unique_id"]


def test_every_source_is_described_and_read_by_its_landing_alone(manifest: dict[str, Any]):
    for name, source in manifest["sources"].items():
        assert source["description"], name
        readers = [node["name"] for node in of_kind(manifest, "model") if name in node["depends_on"]["nodes"]]
        assert readers == [f"raw_{source['name'].removesuffix('_csv')}"]


def test_the_overview_shows_what_there_is(manifest: dict[str, Any]):
    overview = manifest["docs"][f"doc.{manifest['metadata']['project_name']}.__overview__"]["block_contents"]
    for name in LAYERS:
        assert f"{name}." in overview or name == "reference"
    selectors = re.findall(r"--selector (\w+)", overview)
    text = (ROOT / "selectors.yml").read_text(encoding="utf-8")
    assert selectors
    assert all(f"- name: {name}\n" in text for name in selectors)
