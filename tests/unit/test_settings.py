"""Settings that no run could work with: each is refused in one line that names its key."""

from pathlib import Path

import pytest

from loader.config import load_settings
from loader.errors import Refused
from tests.support import ROOT

TABLES = (ROOT / "etl.toml").read_text(encoding="utf-8")
NO_ENVIRONMENTS = "\n".join(part for part in TABLES.split("\n\n") if "[environments." not in part)


def refusal(text: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    path = folder / "etl.toml"
    path.write_text(text, encoding="utf-8")
    monkeypatch.setenv("ETL_CONFIG", str(path))
    with pytest.raises(Refused) as refused:
        load_settings()
    assert str(path) in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("connect_seconds", "0", "[probe] connect_seconds must be above 0"),
        ("request_seconds", "0.0", "[probe] request_seconds must be above 0"),
        ("total_seconds", "inf", "[probe] total_seconds must be at most 1,000,000 seconds, not inf"),
        ("total_seconds", "nan", "[probe] total_seconds must be at most 1,000,000 seconds, not nan"),
        ("total_seconds", "1" + "0" * 400, "[probe] total_seconds must be at most"),
        ("total_seconds", "1" + "0" * 5000, "correct it"),
        ("connect_timeout_seconds", "0", "[delivery] connect_timeout_seconds must be above 0"),
        ("read_timeout_seconds", "nan", "[delivery] read_timeout_seconds must be at most"),
        ("rate_limit_window_seconds", "0", "[delivery] rate_limit_window_seconds must be above 0"),
        ("backoff_max_seconds", "inf", "[delivery] backoff_max_seconds must be at most"),
        ("lock_wait_seconds", "1e10", "[warehouse] lock_wait_seconds must be at most"),
        ("other_host_hours", "8_761", "[warehouse] other_host_hours must be at most 8,760, not 8761"),
        ("other_host_hours", "-1", "[warehouse] other_host_hours must not be negative"),
        ("other_host_hours", "0.5", "[warehouse] other_host_hours must be int"),
    ],
)
def test_seconds_that_nothing_can_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, value: str, says: str
):
    lines = [f"{key} = {value}" if line.startswith(f"{key} =") else line for line in TABLES.splitlines()]
    assert says in refusal("\n".join(lines), tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('environments = "x"\n' + NO_ENVIRONMENTS, "[environments] must be a table, not 'x'"),
        (NO_ENVIRONMENTS, "[environments] is missing"),
        ('probe = "connect_seconds"\n' + TABLES.replace("[probe]", "[elsewhere]"), "[probe] must be a table"),
        ("a = " + "[" * 100_000, "correct it"),
    ],
    ids=["environments", "none", "probe", "deep"],
)
def test_a_table_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, says: str):
    assert says in refusal(text, tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("right", "wrong", "says"),
    [
        ("batch_size =", "batchsize =", "[delivery] no such key: batchsize; did you mean batch_size?"),
        ("[retention]", "[retentions]", "no such table: [retentions]; did you mean retention?"),
        ("import = false", "imports = false", "[environments.production] no such key: imports; did you mean import?"),
        ("import = false", 'note = "x"\nimport = false', "[environments.production] no such key: note; remove it"),
        ("import = false", 'import = "no"', "[environments.production] import must be bool, not 'no'; correct it"),
        ('hosts = ["*prod*"', "hosts = [1", "[production] hosts 0 must be str, not 1"),
        (
            "allowed_hosts = []",
            'allowed_hosts = "h"',
            "allowed_hosts must be a list of texts, not 'h'",
        ),
        ('directory = "data/etl_output"', "directory = 1", "[output] directory must be str, not 1"),
    ],
)
def test_a_key_that_is_not_known_or_of_another_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, right: str, wrong: str, says: str
):
    assert right in TABLES
    assert says in refusal(TABLES.replace(right, wrong), tmp_path, monkeypatch)
