"""The probe of an import: refuses the run unless the API is verified, under the contract that was verified before."""

from collections.abc import Callable
from contextlib import suppress

from loader.api.tokens import Tokens
from loader.errors import ApiUnavailable, StoppedEarly
from loader.run.job import Run
from probe.probe import Outcome, Probed, Where, probe, probe_reader
from probe.report import keep, keep_where_possible, write


def probe_or_refuse(run: Run, tokens: Tokens) -> Callable[[], None]:
    """Probe the API of an import; return what keeps the result in `audit`, which dbt may have to build first.

    Raises:
        ApiUnavailable: a check failed, or the contract has moved; names the first, and keeps all where it can.
        Refused: the API says that it is production.

    """
    job, settings = run.job, run.settings
    if job.target is None:
        raise TypeError("a run without a target has nothing to probe")
    api, warehouse, reader = job.target.api, run.warehouse, probe_reader(settings, run.console.notice)
    where = Where(run.run_id, job.environment, api, tokens, job.card, warehouse, reader, settings.probe)
    probed, file = probe(where, bound=True), None
    # A folder that does not take it is told by the run's own files, after its records are posted and kept.
    with suppress(StoppedEarly):
        file = write(probed, settings.output.directory)
    if probed.outcome is not Outcome.VERIFIED:
        keep_where_possible(probed, file)
        probed.refuse_production()
        raise ApiUnavailable(_refusal(probed))
    for _, finding in probed.findings:
        if finding.is_urgent:
            run.console.notice(finding.message)

    def keep_passed() -> None:
        keep(probed, file)
        passed = sum(check.passed for check in probed.checks)
        run.journal.note("probed", passed=passed, total=len(probed.checks), outcome=probed.outcome.value)

    return keep_passed


def _refusal(probed: Probed) -> str:
    """Return the first failed check in one line; one that was answered says more than one that was not."""
    failed = [check for check in probed.checks if not check.passed]
    first = min(failed, key=lambda check: check.unanswered)
    found = f"{first.name}: expected {first.expected}, found {first.found}"
    counted = ""
    if probed.build and any(finding.hit for finding in first.findings):
        counted = f" (counted in {probed.build.source}, the last dbt build)"
    return f"probe failed, nothing was posted: {found}{counted}; {first.how_to_fix}; again: {first.curl}"
