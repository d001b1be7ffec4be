"""The gate: what is posted is what was tested. Pure; the facts come from the warehouse."""

from dataclasses import dataclass

from loader.errors import GateClosed, RecordsRefused

BUILD = "dbt build"
_NAMED = 3
# The last: left out by this build, and passed in an earlier one of the same seeds and cards.
_GOOD = frozenset({"success", "pass", "warn", "passed_before"})


@dataclass(frozen=True)
class NodeResult:
    """How a model, seed or test of the payload's lineage fared in one dbt invocation."""

    name: str
    resource_type: str
    status: str


@dataclass(frozen=True)
class GateFacts:
    """What the database says about a payload, `is_built` whether there is one.

    Digests are None where a test has failed: nothing can be posted then. `is_written` tells a table from the view of a
    validation, which follows what it is made of.
    """

    is_built: bool
    refused_records: int
    digest: str | None = None
    invocation_ids: tuple[str, ...] = ()
    built_by: str | None = None
    last_attempt_by: str | None = None
    tested_digest: str | None = None
    results: tuple[NodeResult, ...] = ()
    is_written: bool = False
    card_changed: bool = False


def check_gate(facts: GateFacts, *, sends: bool) -> None:
    """Return when the payload passes its tests, and with `sends` when it may be posted.

    Raises:
        GateClosed: no payload, not built and tested by one `dbt build`, changed since its tests, or only validated.
        RecordsRefused: the tests found invalid records.

    """
    if not facts.is_built:
        raise GateClosed(f"gate closed: there is no payload to post; run: {BUILD}")
    invocation = facts.last_attempt_by
    tests = [result for result in facts.results if result.resource_type == "test"]
    failed = [result.name for result in tests if result.status in ("fail", "error")]
    if facts.refused_records and failed:
        raise RecordsRefused(
            f"gate closed: {facts.refused_records} records are invalid, nothing was posted; "
            "correct them as the validation report says, then run again"
        )
    if facts.built_by != invocation or any(found != invocation for found in facts.invocation_ids):
        raise GateClosed(f"gate closed: the last dbt invocation did not build the payload; run: {BUILD}")
    if failed:
        raise GateClosed(
            f"gate closed: {_named(failed)} failed; see `dbt build`'s output, correct the cause, then run: {BUILD}"
        )
    untested = [result.name for result in facts.results if result.status not in _GOOD]
    if untested or not tests:
        raise GateClosed(
            f"gate closed: the payload was built without its tests ({_named(untested)} did not run); run: {BUILD}"
        )
    _check_unchanged(facts)
    if sends and not facts.is_written:
        raise GateClosed(f"gate closed: the last build only validated the file; add --source FILE, or run: {BUILD}")


def _check_unchanged(facts: GateFacts) -> None:
    if facts.card_changed:
        # The probe compares the card as it stands now, which says nothing about records that were built by another.
        raise GateClosed(f"gate closed: the card or enum_map.csv has changed since the build; run: {BUILD}")
    if facts.digest is None or facts.digest != facts.tested_digest:
        raise GateClosed(f"gate closed: the payload has changed since its tests ran; run: {BUILD}")


def _named(names: list[str]) -> str:
    shown = ", ".join(sorted(names)[:_NAMED])
    return shown if len(names) <= _NAMED else f"{shown} and {len(names) - _NAMED} more"
