"""A database of the version before, whose hashes of records were made otherwise, is gone on with."""

from sandbox.process import Sandbox
from tests.support import Home


def test_what_the_version_before_has_settled_is_carried_over_and_read_back_as_ours(home: Home, sandbox: Sandbox):
    assert home.loader("--import").returncode == 0
    home.query(
        "update audit.fct_import_records as records set record_hash = former_hash "
        "from validation.int_incident_former_hashes as former where records.record_hash = former.record_hash"
    )
    assert home.query("select count(*) from audit.fct_import_records where starts_with(record_hash, 'v')") == [(0,)]
    posts = len([request for request in sandbox.requests() if request["method"] == "POST"])
    done = home.loader("--import", "--retry-failed", "--verify")
    assert done.returncode == 0, done.stderr
    assert len([request for request in sandbox.requests() if request["method"] == "POST"]) == posts == 5
    assert home.query(
        "select result, confirmed_by, starts_with(record_hash, 'v2:'), count(*) from audit.fct_import_records "
        "where run_id = (select max(run_id) from audit.fct_runs) group by all"
    ) == [("exists", "earlier_run", True, 5)]
    assert home.query("select is_ours, verdict, count(*) from audit.fct_readback group by all") == [
        (True, "identical", 5)
    ]
