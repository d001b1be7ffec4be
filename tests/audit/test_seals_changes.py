"""A hundred single values changed behind the commands' back, anywhere in the audit trail: a hundred are found."""

import math
import random
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from typing import Any

import duckdb

from loader.audit.digests import audit_tables, contents, subjects
from loader.audit.proof import Trail, problems, read_trail, removed_before
from loader.audit.seals import chain, read_anchor
from sandbox.process import Sandbox
from tests.history import audit_columns, found_problems
from tests.support import Home

CHANGES = 100


def changed(value: Any, kind: str, draw: random.Random) -> Any:
    """Return another value of the column's type, as near to this one as can be."""
    if value is None:
        return {"VARCHAR": "", "BIGINT": 0, "DOUBLE": 0.0, "BOOLEAN": False, "TIMESTAMP": "2026-01-01"}[kind]
    if draw.random() < 0.2:
        return None
    if kind == "VARCHAR":
        texts = [f"{value} ", value.swapcase(), value[:-1], f"{value}\N{ZERO WIDTH SPACE}", value[::-1]]
        return draw.choice([text for text in texts if text != value])
    near = {
        "BIGINT": lambda: value + draw.choice([-1, 1]),
        "DOUBLE": lambda: math.nextafter(value, math.inf),
        "BOOLEAN": lambda: not value,
        "TIMESTAMP": lambda: value + timedelta(microseconds=draw.choice([-1, 1])),
    }
    return near[kind]()


def read_again(connection: Any, trail: Trail, changed_table: str) -> Trail:
    """Return the trail after a change to one table; what stands in the others is not hashed a hundred times."""
    held = {
        subject: {table: held for table, held in content.items() if table != changed_table}
        for subject, content in trail.held.items()
    }
    again = [table for table in audit_tables(connection) if table.name == changed_table]
    for subject, content in contents(connection, again).items():
        held.setdefault(subject, {}).update(content)
    seals, states = chain(connection), subjects(connection)
    return replace(trail, seals=seals, held=held, states=states, removed=removed_before(connection))


def test_a_hundred_single_changes_are_a_hundred_found(home: Home, sandbox: Sandbox):
    sandbox.fault("drop_before_commit")
    assert home.loader("--import", "--verify").returncode == 0
    assert home.loader("--import").returncode == 0
    draw, missed, kinds = random.Random(20_261_123), [], set()  # noqa: S311 - repeatable, not secret
    with duckdb.connect(str(home.database)) as connection:
        connection.execute("set timezone = 'UTC'; set threads = 1")
        columns = audit_columns(connection)
        whole = read_trail(lambda: nullcontext(connection), read_anchor(home.database))
        assert list(problems(whole)) == []
        for _ in range(CHANGES):
            table, column, kind = draw.choice(columns)
            rows = connection.execute(f'select rowid, "{column}" from audit.{table} order by 1').fetchall()  # noqa: S608
            row, value = draw.choice(rows)
            other = changed(value, kind, draw)
            connection.execute("begin")
            connection.execute(f'update audit.{table} set "{column}" = ? where rowid = ?', [other, row])  # noqa: S608
            if not list(problems(read_again(connection, whole, table))):
                missed.append((table, column, value, other))
            connection.execute("rollback")
            kinds.add((kind, value is None, other is None))
        assert found_problems(connection, home.database) == []
    assert missed == []
    assert len(kinds) >= 8, kinds
