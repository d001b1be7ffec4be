"""Complaints answer as API_CONTRACT says under "Complaints": one test for each fact, with its sentence.

What that section leaves open is as the platform's public source has it: defaults of enums, which texts are cleaned, the
prefix of a number, what of an address is kept. Those tests say "open in the contract".
"""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests

from sandbox.process import Sandbox
from tests.sandbox.test_sandbox_contract import error_of, offending
from tests.sandbox.test_sandbox_process import ABSENT, Client, fresh
from tests.warm import running_sandbox

COMPLAINTS = "/api/v1/complaints/"
READ, CREATE = "complaint:read", "complaint:create"
TYPES = ["product", "service", "delivery", "communication", "billing", "staff", "environmental", "safety", "other"]
PRIORITIES = ["critical", "high", "medium", "low", "negligible"]
SOURCES = ["manual", "email", "api", "phone", "portal", "in_person"]
REQUIRED = {"title": "A title", "description": "Text", "complainant_name": "Ann", "received_date": "2026-01-15"}


class Complaints(Client):
    """Calls one sandbox's complaints."""

    def post(self, timeout: float = 10, **fields: object) -> requests.Response:
        """Post a valid complaint changed by `fields`; a field that is ABSENT is left out."""
        document = {"external_ref": fresh()} | REQUIRED | fields
        document = {name: value for name, value in document.items() if value is not ABSENT}
        return self.call("POST", COMPLAINTS, json=document, timeout=timeout)

    def list(self, **parameters: object) -> requests.Response:
        return self.call("GET", COMPLAINTS, params=parameters)

    def one(self, number: object) -> requests.Response:
        return self.call("GET", f"{COMPLAINTS}{number}")


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory):
    with running_sandbox(tmp_path_factory.mktemp("complaints") / "s.sqlite", "--environment", "staging") as running:
        yield running


@pytest.fixture(scope="module")
def client(sandbox: Sandbox):
    return Complaints(sandbox)


# Fields ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", REQUIRED)
def test_required_fields(client: Complaints, field: str):
    """Required: `title`, `description`, `complainant_name`, `received_date`."""
    assert client.post().status_code == 201
    for value in (ABSENT, None, ""):
        assert offending(client.post(**{field: value})) == [f"body -> {field}"]


@pytest.mark.parametrize(
    ("field", "longest"),
    [
        ("title", 300),
        ("complainant_name", 200),
        ("external_ref", 100),
        ("complainant_phone", 30),
        ("complainant_company", 200),
        ("related_reference", 100),
    ],
)
def test_lengths(client: Complaints, field: str, longest: int):
    """`title` 1..300, `complainant_name` 1..200, `external_ref` <= 100, `complainant_phone` <= 30 and so on."""
    answer = client.post(**{field: "é" * longest})
    assert (answer.status_code, answer.json()[field]) == (201, "é" * longest)
    assert offending(client.post(**{field: "é" * (longest + 1)})) == [f"body -> {field}"]


def test_a_description_has_no_maximum(client: Complaints):
    """`description` >= 1."""
    assert client.post(description="x").status_code == 201
    assert client.post(description="x" * 200_000).status_code == 201


OPTIONAL = ["complainant_email", "complainant_phone", "complainant_company", "related_reference"]


@pytest.mark.parametrize("field", OPTIONAL)
def test_optional_fields_may_be_absent_or_null(client: Complaints, field: str):
    """Also optional: `complainant_email`, `complainant_phone`, `complainant_company`, `related_reference`."""
    for value in (ABSENT, None):
        answer = client.post(**{field: value})
        assert (answer.status_code, answer.json()[field]) == (201, None)


@pytest.mark.parametrize(
    ("field", "values", "default"),
    [("complaint_type", TYPES, "other"), ("priority", PRIORITIES, "medium"), ("source_type", SOURCES, "manual")],
)
def test_enums(client: Complaints, field: str, values: list[str], default: str):
    """`complaint_type` (`product service ...`), `priority`, `source_type`. The defaults are open in the contract."""
    assert [client.post(**{field: value}).json()[field] for value in values] == values
    assert client.post(**{field: ABSENT}).json()[field] == default
    for wrong in ("", None, values[0].upper(), f" {values[0]}", "reported"):
        assert offending(client.post(**{field: wrong})) == [f"body -> {field}"]


@pytest.mark.parametrize(
    "address", ["bad", "", "a@", "@example.com", "a b@example.com", "a@example", "a@b@example.com"]
)
def test_a_bad_address_is_a_422(client: Complaints, address: str):
    """`complainant_email` (checked: a bad one is 422)."""
    assert offending(client.post(complainant_email=address)) == ["body -> complainant_email"]


def test_a_good_address_is_taken(client: Complaints):
    """`complainant_email` (checked: a bad one is 422). That its domain is stored in lower case is open there."""
    for sent, stored in (
        ("ann.o'neil+x@example.com", "ann.o'neil+x@example.com"),
        ("Ann@EXAMPLE.com", "Ann@example.com"),
    ):
        answer = client.post(complainant_email=sent)
        assert (answer.status_code, answer.json()["complainant_email"]) == (201, stored)


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("2026-01-15", "2026-01-15T00:00:00Z"),
        ("2026-01-15T01:00:00+02:00", "2026-01-14T23:00:00Z"),
        ("20260115", "1970-08-23T11:48:35Z"),
        ("2999-12-31", "2999-12-31T00:00:00Z"),
        ("15/01/2026", None),
        ("2026-1-5", None),
        ("2026-02-30", None),
    ],
)
def test_forms_of_a_date(client: Complaints, sent: str, stored: str | None):
    """`received_date` (dates as above, future accepted)."""
    answer = client.post(received_date=sent)
    if stored is None:
        assert offending(answer) == ["body -> received_date"]
    else:
        assert (answer.status_code, answer.json()["received_date"]) == (201, stored)


def test_neither_a_number_nor_a_status_is_an_input(client: Complaints):
    """`reference_number` is not an input; **`status` is not an input** (every complaint starts as `received`)."""
    record = client.post(reference_number="MINE", status="closed").json()
    assert record["status"] == "received"
    assert record["reference_number"] != "MINE"
    # The prefix is open in the contract.
    assert record["reference_number"].startswith(f"COMP-{datetime.now(UTC).year}-")
    assert client.post(status="no such status").status_code == 201


def test_the_numbers_are_all_different(client: Complaints):
    numbers = [client.post().json()["reference_number"] for _ in range(3)]
    assert len(set(numbers)) == 3


def test_unknown_fields_are_dropped_without_a_word(client: Complaints):
    """Under "Creating an incident": anything else is **ignored without a word**."""
    answer = client.post(severity="high", incident_date="x")
    assert answer.status_code == 201
    assert not {"severity", "incident_date"} & answer.json().keys()


@pytest.mark.parametrize("field", ["title", "description", "complainant_name", "complainant_company"])
def test_texts_that_come_back_sanitised(client: Complaints, field: str):
    """Under "Creating an incident": the text fields come back sanitised. Which of a complaint's is open there."""
    record = client.post(**{field: "<b>R&D</b>\u00a0\r\n5 < 6"}).json()
    assert record[field] == "R&amp;D&nbsp;\n5 &lt; 6"


def test_lengths_are_counted_after_escaping(client: Complaints):
    """Under "Creating an incident": counted **after the server has escaped HTML** (`&` counts 5)."""
    assert client.post(complainant_name="&" * 40).status_code == 201
    assert offending(client.post(complainant_name="&" * 41)) == ["body -> complainant_name"]


@pytest.mark.parametrize("field", ["external_ref", "complainant_phone", "related_reference"])
def test_texts_that_are_stored_verbatim(client: Complaints, field: str):
    """Open in the contract: which of a complaint's texts the platform leaves as they are."""
    text = f" <b>&{fresh()}"
    assert client.post(**{field: text}).json()[field] == text


def test_title_and_name_are_stripped(client: Complaints):
    """Under "Creating an incident": the title is stripped after that. That the name is, too, is open there."""
    sent = {
        "title": "Late <br>",
        "complainant_name": "\u3000Ann ",
        "complainant_company": " Acme ",
        "description": " D ",
    }
    record = client.post(**sent).json()
    assert [record[field] for field in sent] == ["Late", "Ann", " Acme ", " D "]
    assert offending(client.post(complainant_name=" <br>")) == ["body -> complainant_name"]


def test_201_returns_the_whole_record_and_stores_it(client: Complaints, sandbox: Sandbox):
    """Under "Creating an incident": 201 returns the whole record: `id`, `reference_number`, `title`, `created_at`."""
    sent = {"external_ref": fresh(), "complaint_type": "billing", "priority": "low", "source_type": "phone"}
    sent |= {"complainant_phone": "+44 1", "complainant_company": "Acme", "related_reference": "ORD-1"}
    answer = client.post(**sent)
    record = answer.json()
    assert answer.status_code == 201
    assert sent.items() <= record.items()
    assert {"id", "reference_number", "created_at", "status", *REQUIRED} <= record.keys()
    assert sandbox.records("complaint")[-1] == record | {"tenant": "default"}
    assert sandbox.records("incident") == []


# Permissions and order -------------------------------------------------------------------------------


def test_permissions(sandbox: Sandbox):
    """Permissions `complaint:read`, `complaint:create`; (401/403/404 as usual)."""
    nobody = Complaints(sandbox, "incident:read", "incident:create", "incident:set_reference_number")
    writer, reader = Complaints(sandbox, CREATE), Complaints(sandbox, READ)
    created = writer.post()
    assert created.status_code == 201
    for answer, needed in (
        (nobody.post(), CREATE),
        (nobody.list(), READ),
        (nobody.one(created.json()["id"]), READ),
        (writer.list(), READ),
        (reader.post(), CREATE),
    ):
        assert answer.status_code == 403
        assert (error_of(answer)["code"], error_of(answer)["message"]) == (
            "PERMISSION_DENIED",
            f"Permission '{needed}' required",
        )
    assert reader.list().status_code == 200


def test_the_checks_come_in_their_order(sandbox: Sandbox, client: Complaints):
    """Order of checks: 401, then 403 for create, then 422, then 409."""
    taken = client.post().json()["external_ref"]
    broken = {"external_ref": taken, "title": ""}
    assert Complaints(sandbox, token=f"{sandbox.token()}x").post(**broken).status_code == 401
    assert Complaints(sandbox, READ).post(**broken).status_code == 403
    assert Complaints(sandbox, CREATE).post(**broken).status_code == 422
    assert Complaints(sandbox, CREATE).post(external_ref=taken).status_code == 409


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_trailing_slash_is_required(client: Complaints, method: str):
    """`GET/POST /api/v1/complaints/`: the trailing slash is required (404 without)."""
    answer = client.call(method, COMPLAINTS.rstrip("/"), json={})
    assert (answer.status_code, error_of(answer)["code"]) == (404, "NOT_FOUND")
    assert "location" not in answer.headers


# Duplicates ------------------------------------------------------------------------------------------


def test_a_duplicate_names_the_record_that_is_there(client: Complaints):
    """Duplicates are detected by `external_ref` (409 `DUPLICATE_ENTITY`, `details: {existing_id, external_ref}`)."""
    first = client.post().json()
    client.post()
    answer = client.post(external_ref=first["external_ref"], title="Another")
    error = error_of(answer)
    assert (answer.status_code, error["code"]) == (409, "DUPLICATE_ENTITY")
    assert error["details"] == {"existing_id": first["id"], "external_ref": first["external_ref"]}
    assert client.one(error["details"]["existing_id"]).json() == first


def test_one_record_by_its_id(sandbox: Sandbox, client: Complaints):
    """`GET /api/v1/complaints/{id}` answers with the record (401/403/404 as usual)."""
    record = client.post().json()
    assert client.one(record["id"]).json() == record
    assert Complaints(sandbox, token=f"{sandbox.token()}x").one(record["id"]).status_code == 401
    assert Complaints(sandbox, CREATE).one(record["id"]).status_code == 403
    for missing in (client.one(10**9), Complaints(sandbox, tenant="other").one(record["id"])):
        assert (missing.status_code, error_of(missing)["code"]) == (404, "NOT_FOUND")


def test_another_tenants_complaint_counts(sandbox: Sandbox, client: Complaints):
    """409: global: another tenant's record counts, though GET cannot find it."""
    other, record = Complaints(sandbox, tenant="other"), client.post().json()
    error = error_of(other.post(external_ref=record["external_ref"]))
    assert error["details"]["existing_id"] == record["id"]
    assert other.one(record["id"]).status_code == 404
    assert all(item["id"] != record["id"] for item in other.list(page_size=100).json()["items"])


@pytest.mark.parametrize("reference", [ABSENT, None])
def test_without_a_reference_nothing_protects_from_a_second_record(client: Complaints, reference: object):
    """Without the field nothing protects from a second record."""
    answers = [client.post(external_ref=reference) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json()["id"] != answers[1].json()["id"]
    assert answers[0].json()["external_ref"] is None


def test_an_empty_reference_is_stored_once_and_a_second_one_is_a_500(client: Complaints):
    """An empty `external_ref` is stored once, and a second one is a 500."""
    assert client.post(external_ref="").json()["external_ref"] == ""
    again = client.post(external_ref="")
    assert (again.status_code, error_of(again)["code"]) == (500, "INTERNAL_ERROR")


def test_of_two_simultaneous_posts_one_is_a_500_and_a_repeat_a_409(tmp_path: Path):
    """Two simultaneous POSTs of one reference: one 201, the other 500, and a repeat then gives 409."""
    with running_sandbox(tmp_path / "s.sqlite", "--latency-ms", "2000") as slow, ThreadPoolExecutor(2) as threads:
        client = Complaints(slow)
        answers = list(threads.map(lambda _: client.post(external_ref="TWICE").status_code, range(2)))
        assert sorted(answers) == [201, 500]
        assert client.post(external_ref="TWICE").status_code == 409
        assert len(slow.records("complaint")) == 1


def test_a_nul_is_a_500(client: Complaints):
    """NUL -> 500, as in an incident's reference: PostgreSQL stores none."""
    for field in ("external_ref", "complainant_phone"):
        assert client.post(**{field: "a\0b"}).status_code == 500


def test_a_complaint_and_an_incident_may_have_one_reference(sandbox: Sandbox, client: Complaints):
    reference = fresh()
    assert client.post(external_ref=reference).status_code == 201
    assert Client(sandbox).post(reference_number=reference).status_code == 201


# The list --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory):
    with running_sandbox(tmp_path_factory.mktemp("listed") / "s.sqlite") as running:
        client = Complaints(running)
        days = {"OLD": "2020-01-01", "NEW": "2026-01-02T00:00:00.5Z", "MID": "2025-05-05", "LATER": "2026-01-02"}
        created = {name: client.post(external_ref=name, received_date=day).json() for name, day in days.items()}
        yield client, created


def test_the_list_is_newest_received_date_first(listed: tuple[Complaints, dict]):
    """The list (newest `received_date` first, ...) carries `external_ref` and `created_at`."""
    client, created = listed
    items = client.list().json()["items"]
    assert [item["external_ref"] for item in items] == ["NEW", "LATER", "MID", "OLD"]
    assert items == [created[name] for name in ("NEW", "LATER", "MID", "OLD")]
    assert all(item["created_at"] for item in items)


def test_pages(listed: tuple[Complaints, dict]):
    """The list (..., `page`/`page_size` as above)."""
    client, _ = listed
    body = client.list(page=2, page_size=3).json()
    assert list(body) == ["items", "total", "page", "page_size", "pages"]
    assert ([item["external_ref"] for item in body["items"]], body["total"], body["pages"]) == (["OLD"], 4, 2)
    for wrong in ({"page": 0}, {"page_size": 0}, {"page_size": 101}):
        assert client.list(**wrong).status_code == 422


def test_there_is_no_look_up(listed: tuple[Complaints, dict]):
    """There is no look-up by `external_ref`; unknown parameters are ignored."""
    client, _ = listed
    for parameters in ({"external_ref": "OLD"}, {"search": "OLD"}, {"reference_number": "OLD"}):
        assert client.list(**parameters).json()["total"] == 4


# The document, the limiter, the log, the faults --------------------------------------------------------


def test_the_document_has_the_create(client: Complaints):
    """OpenAPI: as for `IncidentCreate`, `required`, enums by `$ref`, optional fields as `anyOf [..., null]`."""
    document = client.call("GET", "/openapi.json").json()
    operation = document["paths"][COMPLAINTS]["post"]
    schemas = document["components"]["schemas"]
    complaint = schemas["ComplaintCreate"]
    fields = complaint["properties"]
    reference = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    assert reference == "#/components/schemas/ComplaintCreate"
    assert set(operation["responses"]) == {"201", "422"}
    assert sorted(complaint["required"]) == sorted(REQUIRED)
    assert fields["external_ref"]["anyOf"] == [{"type": "string", "maxLength": 100}, {"type": "null"}]
    assert fields["complainant_email"]["anyOf"] == [{"type": "string", "format": "email"}, {"type": "null"}]
    assert (fields["title"]["minLength"], fields["title"]["maxLength"]) == (1, 300)
    assert "maxLength" not in fields["description"]
    assert not {"status", "reference_number"} & fields.keys()
    published = [schemas[fields[name]["$ref"].rsplit("/", 1)[1]]["enum"] for name in ("complaint_type", "priority")]
    assert published == [TYPES, PRIORITIES]
    listed = [parameter["name"] for parameter in document["paths"][COMPLAINTS]["get"]["parameters"]]
    assert listed == ["page", "page_size"]


def test_complaints_are_limited_apart_from_incidents(tmp_path: Path):
    """A sliding 60 s window for each (token, method, path): **60 requests a minute** on incidents and on complaints."""
    with running_sandbox(tmp_path / "s.sqlite", "--rate-limit", "2") as limited:
        token = limited.token()
        client, incidents = Complaints(limited, token=token), Client(limited, token=token)
        assert [client.post().status_code for _ in range(3)] == [201, 201, 429]
        refused = client.post()
        assert (refused.headers["Retry-After"], refused.headers["X-RateLimit-Limit"]) == ("1", "2")
        assert client.list().status_code == 200
        assert incidents.post().status_code == 201


def test_a_withdrawn_value_leaves_complaints_too(tmp_path: Path):
    with running_sandbox(tmp_path / "s.sqlite", "--withdraw", "priority=negligible") as running:
        client = Complaints(running)
        assert offending(client.post(priority="negligible")) == ["body -> priority"]
        schemas = client.call("GET", "/openapi.json").json()["components"]["schemas"]
        assert schemas["ComplaintPriority"]["enum"] == PRIORITIES[:-1]
        assert schemas["IncidentSeverity"]["enum"] == PRIORITIES


def test_log_and_faults_know_the_external_ref(sandbox: Sandbox, client: Complaints):
    sandbox.fault("drop_after_commit", reference="LOST")
    with pytest.raises(requests.ConnectionError):
        client.post(external_ref="LOST")
    last = sandbox.requests()[-1]
    assert (last["path"], last["reference_number"], last["fault"]) == (COMPLAINTS, "LOST", "drop_after_commit")
    assert client.post(external_ref="LOST").status_code == 409
    sandbox.clear_faults()
