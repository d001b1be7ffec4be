"""What `audit` keeps of the probes: every check and finding, and each contract that was verified."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from loader.audit.journal import PLACE, append, now
from loader.card import Card
from loader.storage.warehouse import Warehouse, fetch, insert
from probe.openapi import canonical, fingerprint

_LAST = f"""
    select run_id, fingerprint, contract, greatest(verified_at, (
        select max(checked_at) from audit.fct_probe_checks as checks
        where checks.address = contracts.address and checks.entity_type = contracts.entity_type
            and checks.outcome = 'VERIFIED'
    )) as verified_at
    from audit.fct_contracts as contracts
    where address = ? and entity_type = ? order by {PLACE} desc limit 1
"""  # noqa: S608 - our own names


@dataclass(frozen=True)
class Verified:
    """The contract that was verified last: by which run it was first, and when it was last."""

    run_id: str
    fingerprint: str
    contract: dict[str, Any]
    verified_at: datetime

    def __str__(self) -> str:
        """Return when it was last, in UTC."""
        return f"{self.verified_at.replace(tzinfo=UTC):%Y-%m-%dT%H:%M:%SZ}"


def last_verified(warehouse: Warehouse, address: str, card: Card) -> Verified | None:
    """Return the last verified contract of an entity at an address, None when none was; EtlError without tables."""
    found = warehouse.rows(_LAST, [address, card.entity])
    return Verified(**found[0] | {"contract": json.loads(found[0]["contract"])}) if found else None


def keep_probe(warehouse: Warehouse, document: dict[str, Any], contract: dict[str, Any] | None) -> None:
    """Write what the JSON document of a probe says as rows, in one transaction.

    With it goes the contract, if it was verified (else None) and is not the one that was last. GateClosed where there
    is no database, or one that is older than these tables, which `dbt build` adds.
    """
    warehouse.rows("select 1 from audit.fct_contracts, audit.fct_probe_findings, audit.fct_probe_documents limit 0")
    of_entity = {key: document[key] for key in ("run_id", "entity_type")}
    of_run = of_entity | {key: document[key] for key in ("environment", "address")}
    of_checks = of_run | {"outcome": document["outcome"], "checked_at": now()}
    checks = [of_checks | _renamed(check, "name") for check in document["checks"]]
    total = document["counted_in"] and document["counted_in"]["records"]
    findings = [
        {"run_id": document["run_id"], "records_total": None if finding["records_hit"] is None else total}
        | _renamed(finding, "check")
        for finding in document["findings"]
    ]
    with warehouse.connection() as connection:
        insert(connection, "fct_probe_checks", checks)
        insert(connection, "fct_probe_documents", [of_entity | {"document": json.dumps(document, default=str)}])
        if findings:
            insert(connection, "fct_probe_findings", findings)
        if contract is None:
            return
        last = fetch(connection, _LAST, [document["address"], document["entity_type"]])
        if not last or last[0]["fingerprint"] != fingerprint(contract):
            text = {"fingerprint": fingerprint(contract), "contract": canonical(contract), "verified_at": now()}
            append(connection, "fct_contracts", [of_run | text])


def _renamed(entry: dict[str, Any], name: str) -> dict[str, Any]:
    """Return an entry whose key `name` is called as in the tables."""
    return {"check_name" if key == name else key: value for key, value in entry.items()}
