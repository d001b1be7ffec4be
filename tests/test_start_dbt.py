"""dbt as the command starts it: the same exit codes, and a database that is closed at its end."""

import sys

from tests.support import Home


def test_it_ends_with_the_exit_code_of_dbt_and_a_closed_database(home: Home):
    start = [sys.executable, "-m", "loader.start_dbt", "--no-use-colors"]
    assert home.run([*start, "no-such-command"]).returncode == 2
    test = [*start, "test", "--select", "incident_payload_fits_its_card"]
    assert home.run(test).returncode == 0
    # The longest value that fits, one that does not, an enum that the API does not know; each another record.
    home.query("update payload.fct_incident_payload set location = repeat('&', 60) where record_number = 1")
    assert home.run(test).returncode == 0
    home.query("update payload.fct_incident_payload set location = repeat('&', 61) where record_number = 1")
    home.query("update payload.fct_incident_payload set reference_number = repeat('é', 21) where record_number = 2")
    home.query("update payload.fct_incident_payload set severity = 'dire' where record_number = 3")
    done = home.run(test)
    assert done.returncode == 1
    assert "Got 3 results, configured to fail" in done.stdout
    assert not home.database.with_name(home.database.name + ".wal").exists()
