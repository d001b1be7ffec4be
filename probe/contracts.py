"""What `audit` keeps of the probes: every check and finding, and each contract that was verified."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from loader.audit.journal import now
from loader.card import Card
from loader.storage.warehouse import Row, Warehouse, fetch, insert
from probe.openapi import canonical, fingerprint

_LAST = """
    select run_id, fingerprint, contract, greatest(verified_at, (
        select max(checked_at) from audit.fct_probe_checks as checks
        where checks.address = contracts.address and checks.entity_type = contracts.entity_type
            and checks.outcome = 'VERIFIED'
    )) as verified_at
    from audit.fct_contracts as contracts
    where address = ? and entity_type = ? order by rowid desc limit 1
"""
_RATE = """
    select requests_per_window / window_seconds as requests_per_second from audit.fct_pacing
    where address = ? and endpoint = ? order by learned_at desc limit 1
"""


@dataclass(frozen=True)
class Verified:
    """The contract that was verified last: by which run it was first, and when it was last."""

    run_id: str
    fingerprint: str
    contract: dict[str, Any]
    verified_at: datetime


def last_verified(warehouse: Warehouse, address: str, card: Card) -> Verified | None:
    """Return the last verified contract of an entity at an address, None when none was.

    Raises:
        EtlError: there is no database or table to read.

    """
    found = warehouse.rows(_LAST, [address, card.entity])
    return Verified(**found[0] | {"contract": json.loads(found[0]["contract"])}) if found else None


def requests_per_second(warehouse: Warehouse, address: str, card: Card) -> float | None:
    """Return the rate limit that the API named last, None where it has not.

    Raises:
        EtlError: there is no database or table to read.

    """
    found = warehouse.rows(_RATE, [address, card.endpoint])
    return found[0]["requests_per_second"] if found else None


def keep(
    warehouse: Warehouse, checks: list[Row], findings: list[Row], contract: dict[str, Any] | None, document: str
) -> None:
    """Write a probe's rows in one transaction; and its contract, if it is verified and not the one that was last.

    Args:
        warehouse: where to.
        checks: rows of `fct_probe_checks`; every one has run_id, environment, address and entity_type.
        findings: rows of `fct_probe_findings`.
        contract: the contract that was verified, None where none was.
        document: what the probe has written as JSON.

    Raises:
        GateClosed: there is no database, or it is older than these tables, and `dbt build` adds them.

    """
    warehouse.rows("select 1 from audit.fct_contracts, audit.fct_probe_findings, audit.fct_probe_documents limit 0")
    where = {key: checks[0][key] for key in ("run_id", "environment", "address", "entity_type")}
    with warehouse.connection() as connection:
        insert(connection, "fct_probe_checks", checks)
        kept = {"run_id": where["run_id"], "entity_type": where["entity_type"], "document": document}
        insert(connection, "fct_probe_documents", [kept])
        if findings:
            insert(connection, "fct_probe_findings", findings)
        if contract is None:
            return
        last = fetch(connection, _LAST, [where["address"], where["entity_type"]])
        if not last or last[0]["fingerprint"] != fingerprint(contract):
            text = {"fingerprint": fingerprint(contract), "contract": canonical(contract), "verified_at": now()}
            insert(connection, "fct_contracts", [where | text])
