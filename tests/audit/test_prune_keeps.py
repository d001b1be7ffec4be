"""What `prune` never removes, however old it is: whatever a later run still needs."""

from datetime import timedelta

from loader.audit.digests import Subject
from loader.audit.journal import now
from tests.history import aged, ages, planned, pruned, runs, verified
from tests.support import Home


def test_a_run_that_left_unknown_records_stays_until_another_has_settled_them(old: Home):
    probe, first, second, killed_run = runs(old)
    assert old.loader("--import").returncode == 0
    last = runs(old)[-1]
    aged(old, ages(**{probe: 100, first: 300, second: 300, killed_run: 200, last: 100}))
    # Its records are known to be there by the other runs: nothing is open. All of it is old, and goes.
    everything = planned(old)
    assert {removal.subject.id for removal in everything.removals} >= {first, second, killed_run, last}
    assert everything.kept == {}
    # Of those that settle them, the last stays as long as the run that left them unknown does.
    young = planned(old, now() - timedelta(days=115))
    assert {removal.subject.id for removal in young.removals} == {first, second}
    old.query("update audit.fct_import_records set result = 'failed' where result in ('created', 'exists')")
    open_ones = planned(old)
    assert open_ones.kept[Subject("run", killed_run)] == "has records whose fate is unknown"


def test_what_was_created_before_it_became_unknown_is_not_settled_by_that(old: Home):
    _, first, second, _ = runs(old)
    aged(old, lambda _run: 300)
    old.query("update audit.fct_import_records set result = 'unknown' where run_id = ?", second)
    assert planned(old).kept[Subject("run", second)] == "has records whose fate is unknown"
    old.query("update audit.fct_import_records set result = 'unknown' where run_id = ?", first)
    old.query("update audit.fct_import_records set result = 'exists' where run_id = ?", second)
    kept = planned(old).kept
    assert "has records whose fate is unknown" not in kept.values()


def test_what_was_sealed_later_than_it_is_old_stays(old: Home):
    _, first, *_ = runs(old)
    aged(old, ages(**{first: 91}))
    old.query("update audit.fct_seals set sealed_at = sealed_at + interval 2 day where subject_id = ?", first)
    assert planned(old).kept[Subject("run", first)] == "sealed after that day"


def test_a_young_run_keeps_the_old_one_that_settles_its_unknown_records(old: Home):
    probe, first, second, killed_run = runs(old)
    aged(old, ages(**{probe: 300, first: 300, second: 300}))
    found = planned(old)
    # The killed run is young and unfinished: nothing of it is known to be lost yet.
    assert {removal.subject.id for removal in found.removals} == {probe, first, second}
    assert old.loader("--import", QGP_STAGING_API_URL="http://127.0.0.1:1").returncode == 3
    old.query(
        "insert into audit.fct_import_records by name select * replace ('unknown' as result, ? as run_id) "
        "from audit.fct_import_records where run_id = ?",
        killed_run,
        second,
    )
    old.query(
        "insert into audit.fct_runs by name select * replace (? as run_id, null as exit_code) "
        "from audit.fct_runs where run_id = ?",
        killed_run,
        second,
    )
    kept = planned(old).kept
    assert kept[Subject("run", second)] == "needed by a run that is kept"
    assert Subject("run", first) not in kept


def test_the_last_rate_of_an_address_and_the_last_build_outlive_their_age(old: Home):
    _, first, _, killed_run = runs(old)
    learned = (first, 60)
    old.query(
        "insert into audit.fct_pacing by name select ? as run_id, 'http://x' as address, '/x' as endpoint, "
        "60 as requests_per_window, timestamp '2026-01-01' as learned_at",
        first,
    )
    aged(old, lambda subject: 0 if subject == killed_run else 400)
    ((invocation,),) = old.query("select invocation_id from audit.fct_dbt_invocations")
    found = pruned(old, now())
    assert found.kept[Subject("invocation", invocation)] == "needed by a run that is kept"
    assert learned in old.query("select run_id, requests_per_window from audit.fct_pacing")
    assert old.query("select count(*) from audit.fct_runs where run_id = ?", learned[0]) == [(0,)]
    assert verified(old) == []
    # It goes when a later run has learned another one.
    old.query("insert into audit.fct_pacing by name select * replace (? as run_id) from audit.fct_pacing", killed_run)
    (gone,) = planned(old).removals
    assert (gone.subject, list(gone.tables)) == (Subject("run", learned[0]), ["fct_pacing"])
