"""Bad input is refused in one line with its own exit code: no traceback, and no file is left behind."""

import gzip
import os
import re
import socket
import subprocess
from pathlib import Path

import pytest

from tests.support import FIXTURES, HEADER, Home

RECORD = "R-1,Loose handrail,A handrail is loose,safety,low,open,2026-01-05,Stair 3\n"
TEXT = f"{HEADER}\n{RECORD}"
QUOTED = '"' + HEADER.replace(",", '","') + '"\n"R","a"\n'
LINE_QUOTED = "".join('"' + line.replace('"', '""') + '"\n' for line in TEXT.splitlines())
STAGING = {"QGP_STAGING_API_URL": "https://qgp-staging.example.com", "QGP_API_TOKEN": "token"}


def refused(done: subprocess.CompletedProcess[str], home: Home, exit_code: int, reason: str) -> None:
    assert done.returncode == exit_code, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    line, *table = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert re.search(reason, line), line
    # Below it stands nothing but the profile that would read other names.
    assert not table or (("lacks" in line) and table[1].startswith("[sources.")), table
    # What a probe has found is kept, also when it refuses the run.
    written = [path.name for path in home.output.glob("*") if not path.name.startswith("contract_probe_")]
    assert written == []
    assert list(home.folder.rglob("*.tmp")) == []


@pytest.mark.dbt
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(b"", "is empty", id="empty"),
        pytest.param(b"\xef\xbb\xbf", "RFC 4180|no record|lacks", id="mark-alone"),
        pytest.param(f"{HEADER}\n\r\n".encode(), "no record", id="header-only"),
        pytest.param(TEXT.replace("title", "titel").encode(), ":1: the header lacks 'title'; it has", id="no-title"),
        pytest.param(TEXT.replace("severity", "status").encode(), ":1: .*'status' more than once", id="name-twice"),
        pytest.param(TEXT.replace("title", 'ti"tle').encode(), ":1: the header is not RFC 4180", id="header-quote"),
        pytest.param(TEXT.replace("\n", "\r").encode(), ":1: the header is not RFC 4180", id="line-ends-cr"),
        pytest.param(
            TEXT.replace("\n", "\r\r\n").encode(), ":1: .* end in CR CR LF, .*save it with", id="line-ends-crcrlf"
        ),
        pytest.param(
            QUOTED.replace('","', '", "').encode(), ":1: .*blank .* of column 2; remove", id="blank-before-quote"
        ),
        pytest.param(LINE_QUOTED.encode(), ":1: .*each line is quoted as one cell", id="line-quoted"),
        pytest.param(
            b'"Kennung";"Titel"\n"ZX-1";"Leiter"\n',
            ":1: .*--delimiter semicolon; it then lacks .*'title' and has 'Kennung', 'Titel'",
            id="semicolons-and-other-names",
        ),
        pytest.param(
            TEXT.replace(",", ";").encode("utf-16-le"),
            "--encoding utf-16-le --delimiter semicolon",
            id="utf-16-semicolons",
        ),
        pytest.param(TEXT.encode("utf-16"), "in UTF-16.*--encoding utf-16", id="utf-16"),
        pytest.param(TEXT.replace("title", "titlé").encode("cp1252"), ":1: is not UTF-8", id="cp1252-header"),
        pytest.param(TEXT.replace(",", ";").encode(), "not separated by .*--delimiter semicolon", id="semicolons"),
        pytest.param(TEXT.replace(",", "\t").encode(), "not separated by .*--delimiter tab", id="tabs"),
        pytest.param(gzip.compress(TEXT.encode()), "compressed .gzip.*unpack", id="gzip"),
        pytest.param(TEXT.encode("utf-16-le"), "NUL.*--encoding utf-16-le", id="utf-16-le"),
        pytest.param(TEXT.encode("utf-16-be"), "NUL.*--encoding utf-16-be", id="utf-16-be"),
        pytest.param(TEXT.replace("Loose", "L\xf6se").encode("cp1252"), ":2: .*--encoding cp1252", id="cp1252"),
        pytest.param(TEXT.replace("title", " Title").encode(), "rename ' Title' to 'title'", id="title-otherwise"),
        pytest.param(b"BZh91AY&SY", "compressed .bzip2", id="bzip2"),
        pytest.param(b"PK\x03\x04" + bytes(60), "a zip file that is no xlsx workbook", id="xlsx"),
    ],
)
def test_a_file_that_cannot_be_trusted(empty_home: Home, data: bytes, reason: str):
    path = empty_home.folder / "export.csv"
    path.write_bytes(data)
    refused(empty_home.loader("--validate-only", "--source", path), empty_home, 2, reason)


@pytest.mark.dbt
@pytest.mark.parametrize(
    "kind",
    ["missing", "directory", "fifo", "name-too-long", "device", "link-to-nothing", "link-loop", "address", "pattern"],
)
def test_what_is_not_a_file(empty_home: Home, kind: str):
    path = empty_home.folder / ("x" * 300 if kind == "name-too-long" else "export.csv")
    reason = "check --source"
    if kind == "directory":
        path.mkdir()
        reason = "is a folder"
    elif kind == "fifo":
        os.mkfifo(path)
        reason = "not a regular file"
    elif kind == "device":
        path, reason = Path("/dev/null"), "not a regular file"
    elif kind == "link-to-nothing":
        path.symlink_to(empty_home.folder / "nothing")
    elif kind == "link-loop":
        path.symlink_to(path)
    elif kind == "address":
        path, reason = Path("https://example.com/export.csv"), "addresses are not fetched"
    elif kind == "pattern":
        path, reason = empty_home.folder / "*.csv", "patterns are not expanded"
    refused(empty_home.loader("--validate-only", "--source", path), empty_home, 2, reason)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        pytest.param(["--validate-only", "--frobnicate"], "unrecognized arguments: --frobnicate", id="unknown-flag"),
        pytest.param(["--valid"], "--valid", id="shortened-flag"),
        pytest.param([], "required", id="no-mode"),
        pytest.param(["--validate-only", "--import"], "not allowed with", id="two-modes"),
        pytest.param(["--import", "--environment", "moon"], "unknown environment 'moon'.*staging", id="environment"),
        pytest.param(["--dry-run", "--environment", ""], "no environment", id="no-environment"),
        pytest.param(["--dry-run", "--entity-type", "volcano"], "unknown entity type 'volcano'", id="entity-type"),
        pytest.param(["--dry-run", "--entity-type", "../incident"], "unknown entity type", id="entity-type-path"),
        pytest.param(["--dry-run", "--batch-size", "0"], "batch-size must be at least 1", id="batch-size-0"),
        pytest.param(["--dry-run", "--batch-size", "-5"], "batch-size", id="batch-size-negative"),
        pytest.param(["--dry-run", "--batch-size", "many"], "--batch-size: invalid int value", id="batch-size-text"),
        pytest.param(["--validate-only", "--source"], "--source: expected one argument", id="source-without-file"),
        pytest.param(["--import", "--environment", "production"], "production: imports are blocked", id="production"),
        pytest.param(["--validate-only", "--delimiter", "x"], "--delimiter 'x' cannot separate", id="delimiter"),
        pytest.param(["--validate-only", "--delimiter", '"'], "cannot separate", id="delimiter-quote"),
        pytest.param(["--validate-only", "--encoding", "rot13"], "--encoding 'rot13' is not known", id="encoding"),
        pytest.param(["--validate-only"], "no database yet; run: dbt build", id="nothing-built"),
    ],
)
def test_a_command_line_that_cannot_be_carried_out(empty_home: Home, arguments: list[str], reason: str):
    refused(empty_home.loader(*arguments, **STAGING), empty_home, 2, reason)


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        pytest.param({"QGP_API_TOKEN": ""}, "QGP_API_TOKEN is not set", id="no-token"),
        pytest.param({"QGP_API_TOKEN": "s3cret\nX-Evil: 1"}, "QGP_API_TOKEN holds white space", id="token-newline"),
        pytest.param({"QGP_API_TOKEN": "s3cret-\u00e9"}, "QGP_API_TOKEN holds", id="token-not-ascii"),
        pytest.param({"QGP_STAGING_API_URL": ""}, "no address; export QGP_STAGING_API_URL", id="no-address"),
        pytest.param({"QGP_STAGING_API_URL": "http://qgp-staging.example.com"}, "use https", id="http"),
        pytest.param({"QGP_STAGING_API_URL": "https://evil.example"}, "not in allowed_hosts", id="host"),
        pytest.param({"QGP_STAGING_API_URL": "https://qgp-prod.example.com"}, "is production", id="production"),
        pytest.param({"QGP_STAGING_API_URL": "https://u:s3cret@evil.example"}, "nothing else", id="userinfo"),
        pytest.param({"ETL_CONFIG": "/nonexistent/etl.toml"}, "No such file.*ETL_CONFIG", id="no-settings"),
    ],
)
def test_an_environment_that_is_not_safe(empty_home: Home, variables: dict[str, str], reason: str):
    done = empty_home.loader("--import", **STAGING | variables)
    refused(done, empty_home, 2, reason)
    assert "s3cret" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        pytest.param("[delivery]", "[delivery", "correct it", id="not-toml"),
        pytest.param("[delivery]", "[elsewhere]", r"\[delivery\] batch_size is missing", id="section"),
        pytest.param("batch_size = 50", 'batch_size = "50"', r"\[delivery\] batch_size must be int", id="text"),
        pytest.param("batch_size = 50", "batch_size = 0", "batch_size must be at least 1", id="zero"),
        pytest.param("batch_delay_seconds = 0", "batch_delay_seconds = -1", "must not be negative", id="negative"),
        pytest.param("allowed_hosts = []", "hosts = []", "allowed_hosts is missing", id="no-allowed-hosts"),
        pytest.param("# What", "# Wh\udce4t", "correct it", id="not-utf-8"),
    ],
)
def test_settings_that_are_malformed(empty_home: Home, before: str, after: str, reason: str):
    path = empty_home.folder / "etl.toml"
    text = path.read_text(encoding="utf-8")
    assert before in text
    path.write_bytes(text.replace(before, after, 1).encode(errors="surrogateescape"))
    refused(empty_home.loader("--validate-only"), empty_home, 2, f"etl.toml: .*{reason}")


def test_a_database_that_is_none(empty_home: Home):
    empty_home.database.write_text(TEXT * 200)
    refused(empty_home.loader("--validate-only"), empty_home, 2, "cannot be opened.*ETL_DATABASE")
    assert empty_home.database.read_text() == TEXT * 200


def test_a_database_of_a_newer_duckdb(empty_home: Home):
    newer = FIXTURES / "made_by_a_newer_duckdb.duckdb.gz"  # empty, as DuckDB 2.0.0 makes it
    empty_home.database.write_bytes(gzip.decompress(newer.read_bytes()))
    reason = "database file with version number.*correct ETL_DATABASE or move the file away"
    refused(empty_home.loader("--validate-only"), empty_home, 2, reason)


def test_nobody_listens_at_the_address(empty_home: Home):
    with socket.socket() as taken:  # bound and not listening, so that no other process can take the port
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
        done = empty_home.loader(
            "--import", "--source", empty_home.csv("a.csv", RECORD), **STAGING | {"QGP_STAGING_API_URL": address}
        )
    refused(done, empty_home, 3, "connection refused")
    assert not empty_home.database.exists()


def test_a_file_in_the_place_of_the_output_folder(home: Home):
    home.output.write_text("mine")
    refused(home.loader("--validate-only"), home, 4, "cannot be written.*ETL_OUTPUT_DIR")
    assert home.output.read_text() == "mine"


@pytest.mark.dbt
@pytest.mark.parametrize(
    ("late", "reason"), [(b"caf\xe9", ":18003: is not UTF-8; add the flag"), (b"a\0b", ":18003: has a NUL byte")]
)
def test_a_file_that_is_bad_after_its_first_mebibyte_is_refused_while_it_is_landed(
    empty_home: Home, late: bytes, reason: str
):
    path = empty_home.folder / "export.csv"
    path.write_bytes(TEXT.encode() + RECORD.encode() * 18_000 + RECORD.encode().replace(b"handrail", late, 1))
    assert path.stat().st_size > 1 << 20
    refused(empty_home.loader("--validate-only", "--source", path), empty_home, 2, f"export.csv{reason}")
