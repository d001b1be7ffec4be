"""Which addresses the loader may speak to: only the listed hosts, by https, or by http on loopback."""

from pathlib import Path

import pytest

from loader.api.address import safe_address
from loader.config import load_settings
from loader.errors import Refused

STAGING = "https://qgp-staging.example.com"


@pytest.fixture(autouse=True)
def repository_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the etl.toml of the repository decide, whatever the caller has exported."""
    for name in ("ETL_CONFIG", "ETL_DATABASE", "ETL_OUTPUT_DIR", "QGP_DEVELOPMENT_API_URL", "QGP_STAGING_API_URL"):
        monkeypatch.delenv(name, raising=False)


def checked(monkeypatch: pytest.MonkeyPatch, address: str, name: str = "staging") -> str:
    monkeypatch.setenv(f"QGP_{name.upper()}_API_URL", address)
    settings = load_settings()
    return safe_address(settings, settings.environment(name))


@pytest.mark.parametrize(
    ("address", "normalised"),
    [
        (STAGING, STAGING),
        (f"{STAGING}/", STAGING),
        (f"  {STAGING}\n", STAGING),
        ("https://QGP-Staging.Example.COM", STAGING),
        ("HTTPS://qgp-staging.example.com", STAGING),
        ("https://qgp-staging.example.com.", STAGING),
        ("https://qgp-staging.example.com:443", f"{STAGING}:443"),
        ("https://qgp-staging.example.com:8443/", f"{STAGING}:8443"),
        ("http://127.0.0.1:8010", "http://127.0.0.1:8010"),
        ("http://localhost", "http://localhost"),
        ("http://LOCALHOST:80/", "http://localhost:80"),
        ("https://localhost:8443", "https://localhost:8443"),
        ("http://[::1]:8010", "http://[::1]:8010"),
        ("http://[::1]", "http://[::1]"),
    ],
)
def test_accepted(monkeypatch: pytest.MonkeyPatch, address: str, normalised: str):
    assert checked(monkeypatch, address) == normalised


def test_hosts_are_listed_in_any_case(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    text = Path("etl.toml").read_text(encoding="utf-8").replace("qgp-staging.example.com", "QGP-API.example.com")
    (tmp_path / "etl.toml").write_text(text.replace('"*live*"', '"Live.example.com"'), encoding="utf-8")
    monkeypatch.setenv("ETL_CONFIG", str(tmp_path / "etl.toml"))
    assert checked(monkeypatch, "https://qgp-api.example.com") == "https://qgp-api.example.com"
    with pytest.raises(Refused, match="is production"):
        checked(monkeypatch, "https://live.example.com")


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        # Not the host it seems to be.
        ("https://qgp-staging.example.com@evil.example", "nothing else"),
        ("https://user:secret@qgp-staging.example.com", "nothing else"),
        ("https://@qgp-staging.example.com", "nothing else"),
        ("https://evil.example\\@qgp-staging.example.com", "nothing else"),
        ("https:\\\\qgp-staging.example.com", "nothing else"),
        ("https://qgp-staging.example.com%2eevil.example", "nothing else"),
        ("https://qgp-staging.example.com\t.evil.example", "nothing else"),
        ("https://qgp-staging.example.com\nX-Header: 1", "nothing else"),
        ("https://qgp-staging .example.com", "nothing else"),
        ("https://qgp\u2010staging.example.com", "nothing else"),
        ("https://qgp-staging\uff0eexample.com", "nothing else"),
        ("https://q\u0261p-staging.example.com", "nothing else"),
        # More than scheme, host and port.
        ("https://qgp-staging.example.com/api/v1", "nothing else"),
        ("https://qgp-staging.example.com//", "nothing else"),
        ("https://qgp-staging.example.com?x=1", "nothing else"),
        ("https://qgp-staging.example.com#top", "nothing else"),
        ("https://qgp-staging.example.com/;x", "nothing else"),
        # Not an address.
        ("qgp-staging.example.com", "nothing else"),
        ("//qgp-staging.example.com", "nothing else"),
        ("https:qgp-staging.example.com", "nothing else"),
        ("https://", "nothing else"),
        ("https://:443", "nothing else"),
        ("https://qgp-staging.example.com:65536", "nothing else"),
        ("https://qgp-staging.example.com:-1", "nothing else"),
        ("https://qgp-staging.example.com:https", "nothing else"),
        ("https://[::1", "nothing else"),
        ("https://[127.0.0.1]", "not"),
        # Another scheme.
        ("ftp://qgp-staging.example.com", "nothing else"),
        ("file:///etc/passwd", "nothing else"),
        ("javascript:alert(1)", "nothing else"),
        ("http+unix://qgp-staging.example.com", "nothing else"),
        ("http://qgp-staging.example.com", "use https"),
        ("HTTP://qgp-staging.example.com:443", "use https"),
        # A host that is not listed, however near.
        ("https://example.com", "allowed_hosts"),
        ("https://staging.example.com", "allowed_hosts"),
        ("https://xqgp-staging.example.com", "allowed_hosts"),
        ("https://a.qgp-staging.example.com", "allowed_hosts"),
        ("https://qgp-staging.example.com.evil.example", "allowed_hosts"),
        ("https://qgp-staging.example.co", "allowed_hosts"),
        ("https://.qgp-staging.example.com", "allowed_hosts"),
        ("https://localhost.evil.example", "allowed_hosts"),
        ("http://192.0.2.1", "allowed_hosts"),
        ("http://0.0.0.0:8010", "allowed_hosts"),
        ("http://127.0.0.2", "allowed_hosts"),
        ("http://127.1", "allowed_hosts"),
        ("http://2130706433", "allowed_hosts"),
        ("http://0x7f000001", "allowed_hosts"),
        ("http://017700000001", "allowed_hosts"),
        ("http://[::ffff:127.0.0.1]", "allowed_hosts"),
        ("http://[2001:db8::1]", "allowed_hosts"),
        # Production, whatever environment is named.
        ("https://qgp-prod.example.com", "is production"),
        ("https://QGP-PRODUCTION.example.com", "is production"),
        ("https://qgp-prd2.example.com.", "is production"),
        ("https://live.example.com", "is production"),
        ("http://prod:8010", "is production"),
    ],
)
def test_refused_with_its_reason(monkeypatch: pytest.MonkeyPatch, address: str, reason: str):
    with pytest.raises(Refused, match=reason) as refusal:
        checked(monkeypatch, address)
    assert refusal.value.exit_code == 2
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize("address", ["", " ", "\n"])
def test_no_address_names_the_variable_to_export(monkeypatch: pytest.MonkeyPatch, address: str):
    with pytest.raises(Refused, match="export QGP_STAGING_API_URL="):
        checked(monkeypatch, address)


def test_development_has_its_own_address_and_its_own_hosts(monkeypatch: pytest.MonkeyPatch):
    assert checked(monkeypatch, "", "development") == "http://127.0.0.1:8010"
    with pytest.raises(Refused, match="allowed_hosts"):
        checked(monkeypatch, STAGING, "development")


def test_production_is_refused_before_its_address_is_looked_at(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(Refused, match="imports are blocked"):
        checked(monkeypatch, "not an address", "production")


def test_a_production_pattern_wins_over_allowed_hosts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (source, *_) = load_settings().source.default.values()
    text = (source.parents[2] / "etl.toml").read_text(encoding="utf-8")
    path = tmp_path / "etl.toml"
    path.write_text(text.replace('"qgp-staging.example.com"', '"qgp-prod.example.com"'), encoding="utf-8")
    monkeypatch.setenv("ETL_CONFIG", str(path))
    with pytest.raises(Refused, match="is production"):
        checked(monkeypatch, "https://qgp-prod.example.com")
