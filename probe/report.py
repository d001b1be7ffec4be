"""What a probe tells: the lines for people, the JSON document, and what is kept in `audit`."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from loader.errors import EtlError
from loader.reports.files import OutputFile, keep_files, write_json
from probe.checks import Check
from probe.contracts import keep_probe
from probe.finding import NOT_COMPARED, Finding
from probe.openapi import fingerprint
from probe.probe import Outcome, Probed

KIND = "contract_probe"
NO_BUILD = "there is no build to count the records in; run: dbt build"
_MAX_LINES = 20
_OF_A_CHECK = ("name", "passed", "expected", "found", "how_to_fix", "curl")


def summary_object(checks: Sequence[Check], outcome: Outcome) -> dict[str, Any]:
    """Return the runbook's expected output."""
    passed = sum(check.passed for check in checks)
    return {
        "outcome": outcome.value,
        "all_passed": passed == len(checks),
        "summary": {"total": len(checks), "passed": passed, "failed": len(checks) - passed},
    }


def since_object(probed: Probed) -> dict[str, Any]:
    """Return what has changed since the contract that was verified last; nothing where nothing has."""
    return {"changed_since": str(probed.last), "changes": probed.changes} if probed.changes else {}


def lines(checks: Sequence[Check]) -> Iterator[str]:
    """Yield one line per check, under a failed one the line that asks the same, and one per further difference."""
    for check in checks:
        fix = f"; {check.how_to_fix}" if check.how_to_fix else ""
        yield f"{'passed' if check.passed else 'FAILED'} {check.name}: {check.found}{fix}"
        if check.curl:
            yield f"  {check.curl}"
        breaking = [finding.sentence() for finding in check.findings if finding.is_breaking]
        if len(breaking) > 1:
            yield from (f"  breaking: {sentence}" for sentence in breaking[:_MAX_LINES])
        for finding in check.findings[:_MAX_LINES]:
            if not finding.is_breaking:
                yield f"  notice: {finding.message}"


def contract_lines(probed: Probed) -> Iterator[str]:
    """Yield what there is to say about the contract verified before, and about the build that was counted in."""
    if any(finding.is_breaking and finding.kind not in NOT_COMPARED for _, finding in probed.findings):
        build = probed.build
        counted = build and f"records are counted in {build.source}, as the last dbt build staged it"
        yield counted or probed.not_counted or NO_BUILD
    if not probed.last or not probed.contract:
        return
    verified = f"the contract verified at {probed.last} by run {probed.last.run_id}"
    if not probed.changes:
        yield f"nothing has changed since {verified}"
    for change in probed.changes[:_MAX_LINES]:
        yield f"changed since {verified}: {change}"


def document(probed: Probed) -> dict[str, Any]:
    """Return the probe's JSON document."""
    where, last = probed.where, probed.last
    return {
        "run_id": where.run_id,
        "environment": where.environment,
        "address": where.api.address,
        "entity_type": where.card.entity,
        **summary_object(probed.checks, probed.outcome),
        "checks": [{key: getattr(check, key) for key in _OF_A_CHECK} for check in probed.checks],
        "findings": [finding_object(name, finding) for name, finding in probed.findings],
        "counted_in": asdict(probed.build) if probed.build else None,
        "contract": {
            "fingerprint": fingerprint(probed.contract) if probed.contract else None,
            "last_verified": last
            and {"run_id": last.run_id, "fingerprint": last.fingerprint, "verified_at": str(last)},
            "changes": probed.changes,
        },
    }


def finding_object(check: str, finding: Finding) -> dict[str, Any]:
    """Return one finding of a check as an entry of the JSON document."""
    return {
        "check": check,
        "severity": finding.severity.value,
        "kind": finding.kind.value,
        "field": finding.field,
        "message": finding.message,
        "records_hit": finding.hit.records if finding.hit else None,
        "examples": list(finding.hit.examples) if finding.hit else [],
    }


def write(probed: Probed, output: Path) -> OutputFile:
    """Write the JSON document; StoppedEarly where the folder or the disk does not take it."""
    return write_json(output / f"{KIND}_{probed.where.run_id}.json", document(probed), KIND)


def keep(probed: Probed, file: OutputFile | None) -> None:
    """Keep the result and its file in `audit`, and the contract when all of it is verified; EtlError if it cannot."""
    where, is_verified = probed.where, probed.outcome is Outcome.VERIFIED
    keep_probe(where.warehouse, document(probed), probed.contract if is_verified else None)
    keep_files(where.warehouse, where.run_id, where.card.entity, [file] if file else [])


def keep_where_possible(probed: Probed, file: OutputFile | None) -> str | None:
    """Keep the result in `audit`; return why it could not be kept there, None when it was."""
    try:
        keep(probed, file)
    except EtlError as error:
        return f"the checks are in the JSON file alone, not in audit: {error}"
    return None
