"""POST incidents answers as the platform was measured to: one test for each rule of the contract."""

import http.client
import json
import socket
import threading
import time
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from urllib.parse import urlsplit

import jwt
import pytest
import requests

from sandbox.process import Sandbox
from tests.sandbox.test_sandbox_process import ABSENT, INCIDENTS, Client, fresh
from tests.warm import running_sandbox

TYPES = ["injury", "near_miss", "hazard", "property_damage", "environmental", "security", "quality", "other"]
SEVERITIES = ["critical", "high", "medium", "low", "negligible"]
STATUSES = ["reported", "under_investigation", "pending_actions", "actions_in_progress"]
STATUSES += ["pending_review", "closed"]
CREATE, SET_REFERENCE = "incident:create", "incident:set_reference_number"


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory):
    database = tmp_path_factory.mktemp("contract") / "sandbox.sqlite"
    with running_sandbox(database, "--environment", "staging") as running:
        yield running


@pytest.fixture(scope="module")
def client(sandbox: Sandbox):
    return Client(sandbox)


def error_of(answer: requests.Response):
    body = answer.json()
    assert list(body) == ["error"]
    assert sorted(body["error"]) == ["code", "details", "message", "request_id"]
    return body["error"]


def offending(answer: requests.Response):
    assert answer.status_code == 422, answer.text
    error = error_of(answer)
    assert error["code"] == "VALIDATION_ERROR"
    for item in error["details"]["errors"]:
        assert sorted(item) == ["field", "message", "type"]
    return [item["field"] for item in error["details"]["errors"]]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/health", {"status": "healthy", "environment": "staging"}),
        ("/healthz", {"status": "ok"}),
        ("/readyz", {"status": "ready"}),
        ("/api/v1/meta/version", {"environment": "staging"}),
    ],
)
def test_health_and_version_need_no_token(client: Client, path: str, expected: dict[str, str]):
    answer = client.call("GET", path, headers={"Authorization": ""})
    assert answer.status_code == 200
    assert expected.items() <= answer.json().items()


def test_keys_of_health_and_version(client: Client):
    assert {"app_name", "request_id"} <= client.call("GET", "/health").json().keys()
    assert {"database", "redis"} <= client.call("GET", "/readyz").json().keys()
    version = client.call("GET", "/api/v1/meta/version").json()
    assert {"build_sha", "build_time", "app_name"} <= version.keys()


def test_openapi_says_what_the_platform_publishes(client: Client):
    answer = client.call("GET", "/openapi.json", headers={"Authorization": ""})
    document = answer.json()
    operation = document["paths"][INCIDENTS]["post"]
    schemas = document["components"]["schemas"]
    incident = schemas["IncidentCreate"]
    properties = incident["properties"]
    assert document["openapi"] == "3.1.0"
    assert set(operation["responses"]) == {"201", "422"}
    reference = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    assert reference == "#/components/schemas/IncidentCreate"
    assert incident["required"] == ["title", "description", "incident_date"]
    assert properties["reference_number"]["anyOf"] == [{"type": "string", "maxLength": 50}, {"type": "null"}]
    assert {"type": "null"} in properties["location"]["anyOf"]
    assert (properties["title"]["minLength"], properties["title"]["maxLength"]) == (1, 300)
    enums = {"incident_type": "Type", "severity": "Severity", "status": "Status"}
    for field, name in enums.items():
        assert properties[field]["$ref"] == f"#/components/schemas/Incident{name}"
    published = [schemas[f"Incident{name}"]["enum"] for name in enums.values()]
    assert published == [TYPES, SEVERITIES, STATUSES]
    assert not any(path.startswith("/_sandbox") for path in document["paths"])


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_trailing_slash_is_required(client: Client, method: str):
    answer = client.call(method, INCIDENTS.rstrip("/"), json={})
    assert answer.status_code == 404
    assert error_of(answer)["code"] == "NOT_FOUND"
    assert "location" not in answer.headers


def test_201_returns_the_whole_record_and_stores_it(client: Client, sandbox: Sandbox):
    sent = {"reference_number": fresh(), "title": "T", "description": "D", "location": "Dock"}
    sent |= {"incident_type": "injury", "severity": "high", "status": "closed"}
    answer = client.post(**sent)
    record = answer.json()
    assert answer.status_code == 201
    assert isinstance(record["id"], int)
    assert sent.items() <= record.items()
    assert record["incident_date"] == "2026-01-15T00:00:00Z"
    assert sandbox.records()[-1] == record | {"tenant": "default"}


# Authentication and permissions ------------------------------------------------------------------


def test_bad_expired_and_missing_tokens_look_the_same(client: Client, sandbox: Sandbox):
    claims = {"permissions": [CREATE, "incident:read"], "exp": int(time.time()) + 60}
    foreign = jwt.encode(claims, "another key, of thirty-two bytes or more", algorithm="HS256")
    valid = sandbox.token()
    expired = sandbox.token(expires_in=-1)
    headers = ["", "Bearer", "Bearer nonsense", f"Bearer {expired}", f"Bearer {foreign}", f"Basic {valid}"]
    headers += [f"Bearer {jwt.encode(claims, None, algorithm='none')}", f"Bearer {valid}x"]
    for method in ("GET", "POST"):
        answers = [client.call(method, INCIDENTS, headers={"Authorization": value}) for value in headers]
        errors = [error_of(answer) | {"request_id": ""} for answer in answers]
        assert {answer.status_code for answer in answers} == {401}
        assert errors[0]["code"] == "AUTHENTICATION_REQUIRED"
        assert errors == errors[:1] * len(errors)


def test_each_permission_is_asked_for(sandbox: Sandbox):
    nobody = Client(sandbox, "incident:none")
    writer = Client(sandbox, CREATE)
    answers = [nobody.list(), nobody.post(), writer.list(), writer.post()]
    assert [answer.status_code for answer in answers] == [403] * 4
    assert {error_of(answer)["code"] for answer in answers} == {"PERMISSION_DENIED"}
    assert error_of(answers[3])["message"] == "Not authorized to set explicit reference numbers"


@pytest.mark.parametrize("reference", [ABSENT, None, ""])
def test_without_a_reference_its_permission_is_not_needed(sandbox: Sandbox, reference: object):
    assert Client(sandbox, CREATE).post(reference_number=reference).status_code == 201


def test_the_checks_come_in_their_order(sandbox: Sandbox, client: Client):
    taken = client.post().json()["reference_number"]
    broken = {"reference_number": taken, "title": ""}
    assert Client(sandbox, token=f"{sandbox.token()}x").post(**broken).status_code == 401
    assert Client(sandbox, SET_REFERENCE).post(**broken).status_code == 403
    assert offending(Client(sandbox, CREATE).post(**broken)) == ["body -> title"]
    assert Client(sandbox, CREATE).post(reference_number=taken).status_code == 403
    assert Client(sandbox, CREATE).post(reference_number="x" * 21).status_code == 403
    assert Client(sandbox, CREATE, SET_REFERENCE).post(reference_number=taken).status_code == 409


# Fields --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reference", "status"),
    [("1", 201), ("2" * 20, 201), ("é" * 20, 201), ("3" * 21, 500), ("4" * 50, 500), ("5" * 51, 422)],
)
def test_length_of_a_reference(client: Client, sandbox: Sandbox, reference: object, status: int):
    answer = client.post(reference_number=reference)
    stored = [record for record in sandbox.records() if record["reference_number"] == reference]
    assert answer.status_code == status
    assert len(stored) == (status == 201)
    if status == 500:
        assert error_of(answer)["code"] == "INTERNAL_ERROR"
    if status == 422:
        assert offending(answer) == ["body -> reference_number"]


def test_a_nul_in_a_reference_is_a_500(client: Client):
    answer = client.post(reference_number="a\0b")
    assert (answer.status_code, error_of(answer)["code"]) == (500, "INTERNAL_ERROR")


def test_a_lone_surrogate_is_refused_in_any_text(client: Client):
    for field in ("reference_number", "title", "description", "location"):
        body = {"title": "t", "description": "d", "incident_date": "2026-01-15", field: "\ud800"}
        headers = {"Content-Type": "application/json"}
        answer = client.call("POST", INCIDENTS, data=json.dumps(body), headers=headers)
        assert offending(answer) == [f"body -> {field}"]


def test_a_reference_is_stored_verbatim(client: Client):
    decomposed, composed = "Ame\u0301lie", "Am\u00e9lie"
    for reference in (" a <b>&B ", " A <b>&B ", decomposed, composed):
        answer = client.post(reference_number=reference)
        assert (answer.status_code, answer.json()["reference_number"]) == (201, reference)


@pytest.mark.parametrize("reference", [ABSENT, None, ""])
def test_without_a_reference_each_post_makes_a_numbered_record(client: Client, reference: object):
    answers = [client.post(reference_number=reference) for _ in range(2)]
    numbers = [answer.json()["reference_number"] for answer in answers]
    prefix = f"INC-{datetime.now(UTC).year}-"
    assert [answer.status_code for answer in answers] == [201, 201]
    assert numbers[0] != numbers[1]
    assert all(number.startswith(prefix) and len(number) == len(prefix) + 4 for number in numbers)


def test_a_number_that_was_set_by_hand_is_passed_over(client: Client):
    last = int(client.post(reference_number=ABSENT).json()["reference_number"].split("-")[2])
    year = datetime.now(UTC).year
    for step in (2, 3):
        assert client.post(reference_number=f"INC-{year}-{last + step:04d}").status_code == 201
    assert client.post(reference_number=ABSENT).status_code == 201


@pytest.mark.parametrize(
    ("field", "value", "status"),
    [
        ("title", ABSENT, 422),
        ("title", None, 422),
        ("title", 5, 422),
        ("title", "", 422),
        ("title", "<b></b>", 422),
        ("title", "\0", 422),
        ("title", " &#32;<br>\x1f\x85", 422),
        ("title", "x" * 300 + " ", 201),
        ("title", "x", 201),
        ("title", "é" * 300, 201),
        ("title", "é" * 301, 422),
        ("title", "&" * 60, 201),
        ("title", "&" * 61, 422),
        ("title", "&amp;" * 60, 201),
        ("title", "<b>" * 200 + "x", 201),
        ("description", ABSENT, 422),
        ("description", None, 422),
        ("description", "", 201),
        ("description", "x" * 200_000, 201),
        ("location", None, 201),
        ("location", "", 201),
        ("location", "x" * 300, 201),
        ("location", "x" * 301, 422),
        ("location", "&" * 60, 201),
        ("location", "&" * 61, 422),
        ("incident_date", ABSENT, 422),
        ("incident_date", None, 422),
    ],
)
def test_texts_are_measured_after_escaping(client: Client, field: str, value: object, status: int):
    answer = client.post(**{field: value})
    assert answer.status_code == status
    if status == 422:
        assert offending(answer) == [f"body -> {field}"]


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("<b>bold</b> text", "bold text"),
        ("<script>x()</script>left", "left"),
        ("a & b", "a &amp; b"),
        ("a &amp; b", "a &amp; b"),
        ("1 < 2 > 0", "1 &lt; 2 &gt; 0"),
        ("a\u00a0b", "a&nbsp;b"),
        ("a\r\nb\rc\nd", "a\nb\nc\nd"),
        ("a\0b", "ab"),
        ('"it\'s"', '"it\'s"'),
        (" e\u0301 \U0001f600 ", " e\u0301 \U0001f600 "),
    ],
)
def test_texts_come_back_sanitised(client: Client, sent: str, stored: object):
    record = client.post(title=f"t{sent}t", description=sent, location=sent).json()
    assert [record[field] for field in ("title", "description", "location")] == [f"t{stored}t", stored, stored]


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("Spill <br>", "Spill"),
        ("<img> Spill", "Spill"),
        ("&#32;Spill", "Spill"),
        ("\x1c\x1d\x1e\x1f\x85\u2003\u3000Spill\u2028", "Spill"),
        ("\u200bSpill\ufeff", "\u200bSpill\ufeff"),
        ("Spill\u00a0", "Spill&nbsp;"),
    ],
)
def test_the_title_alone_is_stripped_after_that(client: Client, sent: str, stored: str):
    record = client.post(title=sent, description=sent, location=sent).json()
    assert record["title"] == stored
    assert record["description"] == record["location"]
    assert record["description"].strip() == stored


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("2026-01-15", "2026-01-15T00:00:00Z"),
        ("2026-01-15T10:20:30", "2026-01-15T10:20:30Z"),
        ("2026-01-15 10:20", "2026-01-15T10:20:00Z"),
        ("2026-01-15T10:20:30Z", "2026-01-15T10:20:30Z"),
        ("2026-01-15T01:00:00+02:00", "2026-01-14T23:00:00Z"),
        ("20260115", "1970-08-23T11:48:35Z"),
        ("15/01/2026", None),
        ("2026-1-5", None),
        ("2026-02-30", None),
        ("15.01.2026", None),
        ("", None),
        ("0001-01-01T00:00:00+05:00", None),
    ],
)
def test_forms_of_a_date(client: Client, sent: str, stored: object):
    answer = client.post(incident_date=sent)
    if stored is None:
        assert offending(answer) == ["body -> incident_date"]
    else:
        assert (answer.status_code, answer.json()["incident_date"]) == (201, stored)


def test_a_date_after_today_in_utc_is_refused(client: Client):
    today = datetime.now(UTC).date()
    tomorrow = today + timedelta(days=1)
    ahead = datetime.combine(tomorrow, datetime.min.time(), timezone(timedelta(hours=1)))
    assert client.post(incident_date=today.isoformat()).status_code == 201
    assert client.post(incident_date=ahead.isoformat()).status_code == 201
    assert offending(client.post(incident_date=tomorrow.isoformat())) == ["body -> incident_date"]


@pytest.mark.parametrize(
    ("field", "values", "default"),
    [("incident_type", TYPES, "other"), ("severity", SEVERITIES, "medium"), ("status", STATUSES, "reported")],
)
def test_enums(client: Client, field: str, values: list[str], default: str):
    accepted = [client.post(**{field: value}) for value in values]
    assert [answer.json()[field] for answer in accepted] == values
    assert client.post(**{field: ABSENT}).json()[field] == default
    for wrong in ("", None, values[0].upper(), f" {values[0]}", [values[0]], 1):
        assert offending(client.post(**{field: wrong})) == [f"body -> {field}"]


def test_unknown_fields_are_dropped_without_a_word(client: Client):
    answer = client.post(external_ref="X", tilte="misspelt", sevrity="low")
    assert answer.status_code == 201
    assert not {"external_ref", "tilte", "sevrity"} & answer.json().keys()
    assert answer.json()["severity"] == "medium"


def test_every_offending_field_is_named(client: Client):
    answer = client.post(title="", severity="x", incident_date="y")
    assert sorted(offending(answer)) == ["body -> incident_date", "body -> severity", "body -> title"]


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", "application/json"),
        (b"{", "application/json"),
        (b"\xff{}", "application/json"),
        (b"[]", "application/json"),
        (b"null", "application/json"),
        (b'{"title": "t", "description": "", "incident_date": "2026-01-15"}', "text/plain"),
    ],
)
def test_a_body_that_is_not_one_json_object_is_refused(client: Client, data: bytes, kind: str):
    answer = client.call("POST", INCIDENTS, data=data, headers={"Content-Type": kind})
    assert offending(answer)[0].split(" -> ")[0] == "body"


# Duplicates ----------------------------------------------------------------------------------------


def test_a_second_post_of_a_reference_is_a_409_whatever_it_says(client: Client, sandbox: Sandbox):
    reference = client.post().json()["reference_number"]
    answer = client.post(reference_number=reference, title="Another", incident_date="2026-02-01")
    error = error_of(answer)
    assert answer.status_code == 409
    assert (error["code"], error["message"]) == ("DUPLICATE_ENTITY", "Duplicate reference number")
    assert error["details"] == {}
    assert [record["title"] for record in sandbox.records() if record["reference_number"] == reference] == ["A title"]


def test_a_reference_is_taken_for_every_tenant_though_others_cannot_see_it(sandbox: Sandbox, client: Client):
    other = Client(sandbox, tenant="other")
    reference = client.post().json()["reference_number"]
    assert other.list(search=reference).json()["total"] == 0
    assert other.post(reference_number=reference).status_code == 409


def test_an_idempotency_key_changes_nothing(client: Client):
    body = {"title": "t", "description": "", "incident_date": "2026-01-15"}
    headers = {"Idempotency-Key": "one"}
    answers = [client.call("POST", INCIDENTS, json=body, headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json()["id"] != answers[1].json()["id"]


@pytest.mark.server
def test_of_two_simultaneous_posts_one_is_a_500_and_a_repeat_a_409(tmp_path: Path):
    with running_sandbox(tmp_path / "s.sqlite", "--latency-ms", "2000") as slow:
        client = Client(slow)
        answers = []
        threads = [
            threading.Thread(target=lambda: answers.append(client.post(reference_number="TWICE"))) for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        repeat = client.post(reference_number="TWICE")
        assert sorted(answer.status_code for answer in answers) == [201, 500]
        assert repeat.status_code == 409
        assert [record["reference_number"] for record in slow.records()] == ["TWICE"]


# Connections ---------------------------------------------------------------------------------------


def open_connection(sandbox: Sandbox):
    address = urlsplit(sandbox.url)
    return http.client.HTTPConnection(address.hostname, address.port, timeout=60)


def send(connection: http.client.HTTPConnection, client: Client, reference: object):
    body = {"title": "t", "description": "", "incident_date": "2026-01-15", "reference_number": reference}
    headers = {"Authorization": f"Bearer {client.token}", "Content-Type": "application/json"}
    connection.request("POST", INCIDENTS, json.dumps(body), headers)
    answer = connection.getresponse()
    answer.read()
    return answer


def test_a_connection_is_kept_after_all_answers_but_a_500(sandbox: Sandbox, client: Client):
    connection = open_connection(sandbox)
    send(connection, client, "KEEP-1")
    first = connection.sock
    statuses = [send(connection, client, reference).status for reference in ("KEEP-1", "x" * 51, "KEEP-2")]
    assert statuses == [409, 422, 201]
    assert connection.sock is first
    connection.close()


def test_after_a_500_the_connection_is_closed_without_saying_so(sandbox: Sandbox, client: Client):
    connection = open_connection(sandbox)
    answer = send(connection, client, "x" * 21)
    assert answer.status == 500
    assert answer.getheader("connection") is None
    assert not answer.will_close
    begin = time.monotonic()
    with pytest.raises(ConnectionError):
        send(connection, client, "AFTER-500")
    assert time.monotonic() - begin < 4.5, "closed by the idle time, not by the 500"
    assert all(record["reference_number"] != "AFTER-500" for record in sandbox.records())
    assert all(row["reference_number"] != "AFTER-500" for row in sandbox.requests())


def test_an_idle_connection_is_closed_after_five_seconds(sandbox: Sandbox):
    connection = open_connection(sandbox)
    connection.request("GET", "/healthz")
    connection.getresponse().read()
    begin = time.monotonic()
    assert isinstance(connection.sock, socket.socket)
    assert connection.sock.recv(1) == b""
    assert 4.5 < time.monotonic() - begin < 15
