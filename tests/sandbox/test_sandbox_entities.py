"""An entity is one description: a new one needs no code, and one that makes no sense is refused by its file."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.entity import ENTITIES, read_entities
from sandbox.process import Sandbox
from tests.sandbox.test_sandbox_process import Client
from tests.support import ROOT

# "Other create endpoints" of API_CONTRACT has such paths; fields and key are invented.
VISIT = """
plural: site_visits
path: /api/v1/site-visits/
is_limited: false
meaning: One visit of a site.
read: visit:read
checks:
  - {kind: body}
  - {kind: permission, name: visit:create}
  - {kind: duplicate, message: "Visit {key} is known", details: [ticket]}
key: {field: ticket, width: 8}
number: {field: visit_number, prefix: VIS}
fixed: {stage: planned}
order: visited_on desc, id
fields:
  ticket: {max_length: 20}
  site: {is_required: true, min_length: 1, max_length: 10, cleaning: sanitise}
  visited_on: {is_required: true, type: date, is_past: true}
  contact: {type: email}
  mood: {enum: VisitMood, meaning: How it went., values: [good, bad], default: good}
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory):
    """Give the folder of a copy of the sandbox to which this one file was added."""
    folder = tmp_path_factory.mktemp("copy")
    shutil.copytree(ROOT / "sandbox", folder / "sandbox")
    (folder / "sandbox" / "entities" / "site_visit.yml").write_text(VISIT, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def visits(copy: Path):
    command = [sys.executable, "-m", "sandbox", "serve", "--port", "0", "--database", "s.sqlite"]
    command += ["--rate-limit", "1", "--withdraw", "mood=bad"]
    with subprocess.Popen(command, cwd=copy, stdout=subprocess.PIPE, text=True) as server:
        yield Sandbox(server.stdout.readline().split()[3], server)
        server.terminate()


def visit(running: Sandbox, *permissions: str, **fields: object):
    document = {"site": "Quay", "visited_on": "2026-01-15"} | fields
    client = Client(running, *(permissions or ("visit:read", "visit:create")))
    return client.call("POST", "/api/v1/site-visits/", json=document)


@pytest.mark.server
def test_a_third_entity_is_one_file(visits: Sandbox):
    created = visit(visits, ticket="A", site="Q & A")
    record = created.json()
    assert created.status_code == 201
    assert list(record) == [
        "id",
        "visit_number",
        "ticket",
        "site",
        "visited_on",
        "contact",
        "mood",
        "stage",
        "created_at",
    ]
    assert (record["site"], record["mood"], record["stage"]) == ("Q &amp; A", "good", "planned")
    assert record["visit_number"].startswith("VIS-")
    again = visit(visits, ticket="A").json()["error"]
    assert (again["message"], again["details"]) == ("Visit A is known", {"ticket": "A"})
    assert visit(visits, ticket="x" * 9).status_code == 500
    assert visit(visits, ticket="x" * 21).status_code == 422
    assert visit(visits, visited_on="2999-01-01").status_code == 422
    assert visit(visits, mood="bad").status_code == 422
    assert visit(visits, contact="nobody").status_code == 422
    assert visits.records("site_visit") == [record | {"tenant": "default"}]


@pytest.mark.server
def test_a_third_entity_has_its_own_order_of_checks_and_of_its_list(visits: Sandbox):
    assert visit(visits, "visit:read", site="").status_code == 422
    assert visit(visits, "visit:read").status_code == 403
    for ticket, day in (("L1", "2020-01-01"), ("L2", "2021-01-01"), ("L3", "2020-01-01")):
        assert visit(visits, ticket=ticket, visited_on=day).status_code == 201
    client = Client(visits, "visit:read")
    answer = client.call("GET", "/api/v1/site-visits/", params={"search": "no such text"})
    assert [item["ticket"] for item in answer.json()["items"] if item["ticket"].startswith("L")] == ["L2", "L1", "L3"]
    one = client.call("GET", f"/api/v1/site-visits/{answer.json()['items'][0]['id']}")
    assert one.json() == answer.json()["items"][0]


@pytest.mark.server
def test_a_third_entity_is_in_the_document_the_log_and_the_faults(visits: Sandbox):
    document = Client(visits).call("GET", "/openapi.json").json()
    assert document["paths"]["/api/v1/site-visits/"]["post"]["summary"] == "Create SiteVisit"
    assert document["components"]["schemas"]["SiteVisitCreate"]["required"] == ["site", "visited_on"]
    assert document["components"]["schemas"]["VisitMood"]["enum"] == ["good"]
    visits.fault("status", value=503, reference="LOGGED")
    assert visit(visits, ticket="LOGGED").status_code == 503
    last = visits.requests()[-1]
    assert (last["path"], last["reference_number"], last["fault"]) == ("/api/v1/site-visits/", "LOGGED", "status")


@pytest.mark.server
def test_a_third_entity_may_be_without_a_limit(visits: Sandbox):
    client = Client(visits, "visit:read", "incident:read")
    answers = [client.call("GET", "/api/v1/site-visits/") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert "X-RateLimit-Limit" not in answers[0].headers
    assert [client.list().status_code for _ in range(2)] == [200, 429]


@pytest.mark.server
def test_a_token_of_all_permissions_has_those_of_a_third_entity(copy: Path, visits: Sandbox):
    command = [sys.executable, "-m", "sandbox", "token"]
    token = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=True).stdout.strip()
    document = {"site": "Quay", "visited_on": "2026-01-15"}
    assert Client(visits, token=token).call("POST", "/api/v1/site-visits/", json=document).status_code == 201


TWICE = {"kind": "duplicate", "message": "Known"}


def described(**changed: Any) -> str:
    return yaml.safe_dump(yaml.safe_load(VISIT) | changed)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (described(sort="id"), "sort"),
        (described(path="/api/v1/site-visits"), "path"),
        (described(key={"field": "tikcet", "width": 8}), "no field here is called ticket, tikcet"),
        (described(searched=["site", "town"]), "no field here is called town"),
        (described(checks=[TWICE]), "one of the checks is of the body"),
        (described(checks=[TWICE, {"kind": "body"}]), "the key is known once the body is checked"),
        (described(checks=[{"kind": "body"}, TWICE | {"details": ["site"]}]), "no field here is called site"),
        (described(checks=[{"kind": "permission"}, {"kind": "body"}]), "name"),
        (described(fields={"ticket": {"enum": "Kind", "values": ["a"], "default": "b"}}), "b is not a value of Kind"),
        (described(fields={"ticket": {"max_lenght": 3}}), "max_lenght"),
        ("{", "expected"),
    ],
)
def test_a_description_that_makes_no_sense_is_refused_by_its_file(tmp_path: Path, text: str, reason: str):
    (tmp_path / "wrong.yml").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=reason) as refused:
        read_entities(tmp_path)
    assert str(refused.value).startswith(f"{tmp_path / 'wrong.yml'}: ")


def test_no_code_of_the_sandbox_names_an_entity_or_its_fields():
    named = {name for entity in ENTITIES.values() for name in (entity.name, entity.plural, *entity.columns)}
    # The log's column for the key, words of OpenAPI, and the kind of a fault.
    named -= {"reference_number", "title", "description", "status"}
    assert named
    for path in (ROOT / "sandbox").glob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert [name for name in named if f'"{name}"' in text] == [], path.name
        assert [entity.path for entity in ENTITIES.values() if entity.path.rstrip("/") in text] == [], path.name
