"""One probe from its first request to its outcome: the checks, the records that are hit, what has changed."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from loader.api.client import Api
from loader.api.tokens import Tokens
from loader.card import Card
from loader.config import ProbeLimits, Settings
from loader.delivery.resume import last_limit
from loader.errors import DatabaseLocked, EtlError, GateClosed, Refused
from loader.storage.warehouse import Warehouse
from probe.checks import OPENAPI, Check, Need, run_checks
from probe.client import Asking
from probe.compare import changes
from probe.contracts import Verified, last_verified
from probe.drift import Build, counted, last_build
from probe.finding import Finding, Kind, Severity
from probe.openapi import fingerprint

_READ_WAIT_SECONDS = 2.0


class Outcome(StrEnum):
    """What a probe as a whole says."""

    VERIFIED = "VERIFIED"
    FAILED = "FAILED"
    UNAVAILABLE = "UNAVAILABLE"


@dataclass(frozen=True)
class Where:
    """What is probed, and where records can be counted and results kept.

    `reader` is the same database, which it waits for not much longer than for an answer of the API.
    """

    run_id: str
    environment: str
    api: Api
    tokens: Tokens
    card: Card
    warehouse: Warehouse
    reader: Warehouse
    limits: ProbeLimits


@dataclass(frozen=True)
class Probed:
    """The result of one probe; `contract` is None where it was not read, `build` where there is none to count in.

    With `is_production` nothing may be sent there, whatever else was found; `not_counted` says why there is no build
    where there may be one.
    """

    where: Where
    checks: tuple[Check, ...]
    contract: dict[str, Any] | None
    last: Verified | None
    build: Build | None
    is_production: bool = False
    not_counted: str | None = None

    def refuse_production(self) -> None:
        """Raise Refused for an API that is production; to be called when the result is kept."""
        if self.is_production:
            address = self.where.api.address
            raise Refused(f"{address} says that it is production; imports go to staging only: correct the address")

    @property
    def outcome(self) -> Outcome:
        """UNAVAILABLE when each check that failed got no answer, FAILED when one got a wrong answer."""
        failed = [check for check in self.checks if not check.passed]
        if not failed:
            return Outcome.VERIFIED
        return Outcome.UNAVAILABLE if all(check.unanswered for check in failed) else Outcome.FAILED

    @property
    def findings(self) -> list[tuple[str, Finding]]:
        """Return the findings, each with the name of its check."""
        return [(check.name, finding) for check in self.checks for finding in check.findings]

    @property
    def changes(self) -> list[str]:
        """Return what has changed since the last verified contract, in words."""
        return changes(self.last.contract, self.contract) if self.last and self.contract else []


def probe_reader(settings: Settings, notify: Callable[[str], None]) -> Warehouse:
    """Return the database for the reads of a probe, none of which may hold up the answer for long."""
    return Warehouse(settings.database, min(settings.warehouse.lock_wait_seconds, _READ_WAIT_SECONDS), notify)


def probe(where: Where, *, bound: bool) -> Probed:
    """Run the checks and add what the database knows: the records that are hit, and the contract verified before.

    With `bound`, as for an import, a contract that has moved since it was last verified is a failed check, and a
    database that is there and cannot be read an EtlError.
    """
    asking, address, card = Asking(where.api, where.limits), where.api.address, where.card
    build, not_counted = _last_build(where)
    checked = run_checks(asking, where.environment, card, where.tokens, _need(where, build))
    checks, contract, last = [_with_records(check, where, build) for check in checked.checks], checked.contract, None
    # An import may take no database that cannot be read for one without a contract in it.
    with suppress(GateClosed if bound else EtlError):
        last = last_verified(where.warehouse if bound else where.reader, address, card)
    if bound and last and contract and checks[-1].passed and fingerprint(contract) != last.fingerprint:
        words = "; ".join(changes(last.contract, contract)) or "in its form"
        moved = Finding(Kind.CONTRACT_MOVED, Severity.BREAKING, f"the contract has moved since {last}: {words}")
        checks[-1] = Check(
            checks[-1].name,
            f"the contract that was verified at {last}",
            moved.message,
            f"look at the change, then: python -m probe {where.environment}, which verifies and keeps it",
            asking.curl(OPENAPI),
            findings=(moved, *checks[-1].findings),
        )
    return Probed(where, tuple(checks), contract, last, build, checked.is_production, not_counted)


def _last_build(where: Where) -> tuple[Build | None, str | None]:
    """Return the last build; None where there is none, and where the database is held, with who holds it."""
    try:
        return last_build(where.reader, where.card), None
    except DatabaseLocked as error:
        return None, f"records are not counted: {error}"
    except EtlError:
        return None, None


def _need(where: Where, build: Build | None) -> Need | None:
    limit = None
    with suppress(EtlError):
        limit = last_limit(where.reader, where.api.address, where.card) if build else None
    if not build or not limit:
        return None
    seconds = build.ready * limit.window_seconds / limit.requests_per_window
    return Need(seconds, f"the {build.ready:,} records of {build.source}")


def _with_records(check: Check, where: Where, build: Build | None) -> Check:
    """Return the check with its findings counted; what it has found says the number of the first one."""
    if build is None or check.passed or not check.findings:
        return check
    findings = tuple(counted(where.reader, where.card, build, check.findings))
    found = check.found.replace(check.findings[0].sentence(), findings[0].sentence())
    return replace(check, findings=findings, found=found)
