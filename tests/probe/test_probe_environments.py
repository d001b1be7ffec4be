"""An API that names another environment than the one that was asked for: no token for it, and production is refused."""

import pytest

from tests.probe.hosting import serving
from tests.probe.test_probe import CHECKS, failures, refused
from tests.support import Home


def test_an_api_that_says_it_is_production(home: Home):
    with serving() as api:
        variables = {"QGP_STAGING_API_URL": api.url, "QGP_API_TOKEN": "t"}
        for named in ("production", " Production-EU", "prod2"):
            api.answers["/health"] = {"status": "healthy", "environment": named}
            assert "says that it is production" in refused(home.probe("staging", **variables))
        assert "says that it is production" in refused(home.loader("--import", **variables))
    assert api.seen == [("GET", "/health", False)] * 4
    documents = home.documents("contract_probe")
    assert {(document["outcome"], document["summary"]["failed"]) for document in documents} == {("FAILED", 4)}
    assert home.query("select count(*) from audit.fct_probe_checks where not passed") == [(16,)]


@pytest.mark.server
def test_an_api_of_another_environment(empty_home: Home):
    with serving() as api:
        api.answers["/health"] = {"status": "healthy", "environment": "development"}
        done = empty_home.probe("staging", QGP_STAGING_API_URL=api.url, QGP_API_TOKEN="t")  # noqa: S106
    failed = failures(empty_home, done)
    assert [name for name, check in failed.items() if "'development'" in check["found"]] == CHECKS[:3]
    assert failed["authentication"]["found"].startswith("not asked: ")
    assert not any(has_token for *_, has_token in api.seen), "an API of another environment gets no token"
