"""GET incidents: pages, search, tenants, and what the two admin lists show."""

import pytest

from sandbox.process import Sandbox
from tests.sandbox.test_sandbox_process import INCIDENTS, Client
from tests.warm import running_sandbox

RECORDS = [
    ("R-1", "Forklift & pallet", "Bay 4"),
    ("R_2", "Spill", "100% of the drum"),
    ("RX2", "Übergabe", "Straße frei"),
    ("back\\slash", "Ladder", "fork missing"),
    ("R-5", "Noise", "nothing"),
]
NEWEST_FIRST = [reference for reference, _, _ in reversed(RECORDS)]


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory):
    with running_sandbox(tmp_path_factory.mktemp("reading") / "sandbox.sqlite") as running:
        for reference, title, description in RECORDS:
            answer = Client(running).post(reference_number=reference, title=title, description=description)
            assert answer.status_code == 201
        assert Client(running, tenant="other").post(reference_number="THEIRS").status_code == 201
        yield running


@pytest.fixture(scope="module")
def client(sandbox: Sandbox):
    return Client(sandbox)


def references(client: Client, **parameters: object) -> list[str]:
    answer = client.list(**parameters)
    assert answer.status_code == 200, answer.text
    assert answer.json()["total"] == len(answer.json()["items"])
    return [item["reference_number"] for item in answer.json()["items"]]


def test_records_come_newest_first_and_only_the_callers(client: Client, sandbox: Sandbox):
    assert references(client) == NEWEST_FIRST
    assert references(Client(sandbox, tenant="other")) == ["THEIRS"]
    assert references(Client(sandbox, tenant="third")) == []


def test_the_keys_of_a_page(client: Client):
    body = client.list(page=2, page_size=2).json()
    assert list(body) == ["items", "total", "page", "page_size", "pages"]
    assert [item["reference_number"] for item in body["items"]] == NEWEST_FIRST[2:4]
    assert [body[key] for key in list(body)[1:]] == [5, 2, 2, 3]


def test_defaults_of_a_page(client: Client):
    body = client.list().json()
    assert (body["page"], body["page_size"], body["pages"]) == (1, 50, 1)
    assert client.list(page=9).json()["items"] == []


@pytest.mark.parametrize(
    ("parameters", "status"),
    [
        ({"page_size": 1}, 200),
        ({"page_size": 100}, 200),
        ({"page_size": 0}, 422),
        ({"page_size": 101}, 422),
        ({"page_size": "many"}, 422),
        ({"page": 0}, 422),
    ],
)
def test_bounds_of_a_page(client: Client, parameters: dict[str, object], status: int):
    answer = client.list(**parameters)
    assert answer.status_code == status
    if status == 422:
        field = answer.json()["error"]["details"]["errors"][0]["field"]
        assert field == f"query -> {next(iter(parameters))}"


def test_401_and_403_come_before_422(sandbox: Sandbox):
    wrong = {"page_size": 0}
    assert Client(sandbox, token=f"{sandbox.token()}x").list(**wrong).status_code == 401
    assert Client(sandbox, "incident:create").list(**wrong).status_code == 403


def test_unknown_parameters_are_ignored(client: Client):
    assert references(client, reference_number="R-1", idempotent="x") == NEWEST_FIRST


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("R-1", ["R-1"]),
        ("r-1", ["R-1"]),
        ("FORK", ["back\\slash", "R-1"]),
        ("bay 4", ["R-1"]),
        ("& pallet", []),
        ("&amp; pallet", ["R-1"]),
        ("R_2", ["RX2", "R_2"]),
        ("fork%pal", ["R-1"]),
        ("%", NEWEST_FIRST),
        ("100%", ["R_2"]),
        ("ÜBERGABE", ["RX2"]),
        ("straße", ["RX2"]),
        ("back\\slash", []),
        ("back\\\\slash", ["back\\slash"]),
        ("R\\_2", ["R_2"]),
        ("THEIRS", []),
        ("' or 1=1 --", []),
        ("", NEWEST_FIRST),
    ],
)
def test_search_is_a_substring_with_wildcards(client: Client, search: str, found: list[str]):
    assert references(client, search=search) == found


def test_an_item_of_a_page_is_the_record_of_its_201(client: Client):
    created = client.post(reference_number="ONCE").json()
    assert client.list(search="ONCE").json()["items"] == [created]
    assert client.list(page_size=1).json()["items"] == [created]


def test_the_log_has_every_api_request_and_no_other(client: Client, sandbox: Sandbox):
    before = len(sandbox.requests())
    client.call("GET", "/health")
    client.call("GET", "/openapi.json")
    client.post(reference_number="LOGGED", title="")
    client.call("GET", INCIDENTS + "?page=1")
    client.call("POST", INCIDENTS, data=b"[", headers={"Authorization": ""})
    rows = sandbox.requests()[before:]
    seen = [(row["method"], row["path"], row["reference_number"], row["status"]) for row in rows]
    assert seen == [
        ("POST", INCIDENTS, "LOGGED", 422),
        ("GET", INCIDENTS, None, 200),
        ("POST", INCIDENTS, None, 401),
    ]
    assert [row["fault"] for row in rows] == [None] * 3
    assert sorted(row["at"] for row in rows) == [row["at"] for row in rows]


def test_the_list_of_records_has_every_tenants(sandbox: Sandbox):
    owners = {record["reference_number"]: record["tenant"] for record in sandbox.records()}
    assert (owners["R-1"], owners["THEIRS"]) == ("default", "other")
