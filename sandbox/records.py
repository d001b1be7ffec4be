"""The records of one entity, in a table of their own that its description asks for."""

import sqlite3
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from sandbox.entity import Entity

Row = dict[str, Any]


class StoreRefusalError(Exception):
    """The database would not take the record: a text holds a NUL, or the key is too long or taken."""


class Records:
    """One table; every statement is its own transaction."""

    def __init__(self, entity: Entity, connection: sqlite3.Connection, now: Callable[[], str]) -> None:
        """Make the table where the file has none; `now` gives the server's time, as text in UTC."""
        self._entity = entity
        self._connection = connection
        self._now = now
        self._page, self._page_folded = (_page_of(entity, folding) for folding in ("", "folded"))
        columns = (*entity.columns, "tenant", "created_at")
        names, values = ", ".join(columns), ", ".join(f":{name}" for name in columns)
        self._insert = f"insert into {entity.plural} ({names}) values ({values}) returning *"  # noqa: S608 (our own names)
        connection.execute(_table_of(entity))

    def id_of(self, key: str) -> int | None:
        """Give the id of the record of this key, any tenant's; None when there is none."""
        return self._id_where(self._entity.key.field, key)

    def insert(self, record: Mapping[str, object], tenant: str) -> Row:
        """Store one record (its inputs) and give it back; number it when it gives no number of its own.

        Raises `StoreRefusalError` for a record that the table does not take.
        """
        number, key = self._entity.number, self._entity.key
        values: Row = {**self._entity.fixed, **record, "tenant": tenant, "created_at": self._now()}
        values[number.field] = values.get(number.field) or self._next_number()
        # PostgreSQL, which the platform stores in, takes no NUL.
        if len(values[key.field] or "") > key.width or any("\0" in str(value) for value in values.values()):
            raise StoreRefusalError("a value does not fit its column")
        try:
            return dict(self._connection.execute(self._insert, values).fetchone())
        except sqlite3.IntegrityError as error:
            raise StoreRefusalError(f"{key.field} is taken") from error

    def one(self, tenant: str, record_id: int) -> Row | None:
        """Give one record of a tenant, None when it has none of this id."""
        query = f"select * from {self._entity.plural} where tenant = ? and id = ?"  # noqa: S608 (our own name)
        row = self._connection.execute(query, [tenant, record_id]).fetchone()
        return dict(row) if row else None

    def find(self, tenant: str, search: str, limit: int, offset: int) -> tuple[list[Row], int]:
        """Give one page of a tenant's records, in the entity's order, and the number of all that match `search`."""
        values = {"tenant": tenant, "pattern": f"%{search.lower()}%", "limit": limit, "offset": offset}
        found = self._page if search.isascii() else self._page_folded
        total = self._connection.execute(f"select count(*) {found}", values).fetchone()[0]
        page = f"select * {found} order by {self._entity.order} limit :limit offset :offset"
        return [dict(row) for row in self._connection.execute(page, values)], total

    def all(self) -> list[Row]:
        """Give every record of every tenant, oldest first."""
        query = f"select * from {self._entity.plural} order by id"  # noqa: S608 (our own name)
        return [dict(row) for row in self._connection.execute(query)]

    def _id_where(self, column: str, value: str) -> int | None:
        query = f"select id from {self._entity.plural} where {column} = ?"  # noqa: S608 (our own names)
        row = self._connection.execute(query, [value]).fetchone()
        return int(row["id"]) if row else None

    def _next_number(self) -> str:
        field, begin = self._entity.number.field, f"{self._entity.number.prefix}-{datetime.now(UTC).year}-"
        query = f"select count(*) from {self._entity.plural} where {field} glob ?"  # noqa: S608 (our own names)
        number = self._connection.execute(query, [f"{begin}*"]).fetchone()[0] + 1
        while self._id_where(field, f"{begin}{number:04d}") is not None:
            number += 1
        return f"{begin}{number:04d}"


def _table_of(entity: Entity) -> str:
    columns = []
    for name in entity.columns:
        field = entity.fields.get(name)
        is_number = name == entity.number.field
        may_be_null = field is not None and field.is_nullable and not is_number
        is_unique = is_number or name == entity.key.field
        columns.append(f"{name} text{'' if may_be_null else ' not null'}{' unique' if is_unique else ''}")
    ends = ("tenant text not null", "created_at text not null")
    listed = ", ".join(("id integer primary key autoincrement", *columns, *ends))
    return f"create table if not exists {entity.plural} ({listed})"


def _page_of(entity: Entity, folding: str) -> str:
    """Give what follows `select`: SQLite's own LIKE folds ASCII letters only, and is five times as fast as `folded`."""
    # A backslash escapes a wildcard, as it does in PostgreSQL's ILIKE.
    found = " or ".join(rf"{folding}({name}) like :pattern escape '\'" for name in entity.searched) or "true"
    return f"from {entity.plural} where tenant = :tenant and ({found})"
