"""Seals every finished run, dbt invocation and receipt: a chain in which no audit row changes without a trace."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from loader.audit.digests import OPEN_RUN, RECEIPT, SEALS, Content, Subject, audit_tables, contents, subjects
from loader.audit.journal import now
from loader.errors import EtlError, Interrupted, Refused, StoppedEarly
from loader.storage.files import write_file
from loader.storage.warehouse import Row, Warehouse, fetch, insert


@dataclass(frozen=True)
class Anchor:
    """Number and seal of the last row of `audit.fct_seals` when it was noted."""

    number: int
    seal: str


def anchor_path(database: Path) -> Path:
    """Return the file that notes the last seal of a database."""
    return database.with_name(database.name + ".seal")


def read_anchor(database: Path) -> Anchor | None:
    """Return what was noted; None when there is no such file. What is no seal is on no chain: its number is 0."""
    path = anchor_path(database)
    try:
        noted = json.loads(path.read_bytes())
        return Anchor(int(noted["number"]), str(noted["seal"]))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Refused(f"{path}: cannot be read ({error.strerror}); make it readable for its owner") from error
    except (ValueError, KeyError, TypeError, OverflowError):
        return Anchor(0, "")


def write_anchor(database: Path, anchor: Anchor) -> None:
    """Write the file whole, or raise StoppedEarly."""
    path, text = anchor_path(database), json.dumps(asdict(anchor)) + "\n"
    try:
        write_file(path, lambda file: file.write(text.encode()))
    except OSError as error:
        raise StoppedEarly(
            f"{path}: cannot be written ({error.strerror}); free the disk, then run the same command again"
        ) from error


# A probe is settling for a while, the file or a long hashing is waited for, and clocks are corrected: what ended this
# long before a seal may still have missed it.
_OVERTAKES = timedelta(minutes=30)


@dataclass(frozen=True)
class Seal:
    """One row of `audit.fct_seals`; `content` is JSON."""

    number: int
    kind: str
    subject_id: str
    rows: int
    content: str
    previous_seal: str
    sealed_at: datetime
    seal: str = ""

    @property
    def subject(self) -> Subject:
        """Return the subject of the seal."""
        return Subject(self.kind, self.subject_id)

    @property
    def tables(self) -> Content:
        """Return what was sealed, table by table; what is of another form seals nothing."""
        try:
            tables = dict(json.loads(self.content))
        except (ValueError, TypeError):
            return {}
        return {
            name: part for name, part in tables.items() if isinstance(part, dict) and isinstance(part.get("rows"), int)
        }

    def computed(self) -> str:
        """Return the seal that belongs to the other columns."""
        values = [str(value) for name, value in asdict(self).items() if name != "seal"]
        return hashlib.sha256(json.dumps(values).encode()).hexdigest()


_SEALS = f"select {', '.join(field.name for field in fields(Seal))} from audit.fct_seals"  # noqa: S608 - our own names


def seal_audit(warehouse: Warehouse, notify: Callable[[str], None]) -> Seal | None:
    """Seal all that is finished and has no seal yet, and note the last seal beside the database; return that seal.

    The caller holds the run lock. A kill before the commit leaves what the next call seals; one after it leaves a note
    that is behind the chain, which the next call writes anew. Raises EtlError where `dbt build` has not made the tables
    yet, or where the database or the note cannot be written.
    """
    with noted(warehouse, notify) as connection:
        return seal_finished(connection, notify)


@contextmanager
def noted(warehouse: Warehouse, notify: Callable[[str], None]) -> Iterator[Any]:
    """Yield a connection, and note the last seal beside the database once what was done with it is committed.

    A note that is not of this chain stays as it is: it shows that an old copy was put back.
    """
    with warehouse.connection() as connection:
        yield connection
        last, anchor = _last(connection), read_anchor(warehouse.path)
        query = "select 1 from audit.fct_seals where number = ? and seal = ?"
        is_known = anchor is None or bool(fetch(connection, query, [anchor.number, anchor.seal]))
    if last and is_known:
        write_anchor(warehouse.path, Anchor(last.number, last.seal))
    elif last:
        notify(
            f"{warehouse.path}: its audit trail lacks the seal noted beside it, as after an old copy was put back; "
            "run: python -m loader audit-verify"
        )


def seal_or_tell(warehouse: Warehouse, notify: Callable[[str], None]) -> Seal | None:
    """Seal as `seal_audit` does; where that fails, say so and return None: the run is accounted for all the same."""
    try:
        return seal_audit(warehouse, notify)
    except Interrupted:
        return None
    except EtlError as error:
        notify(f"this run is not sealed, the next one seals it: {error}")
        return None


def seal_finished(connection: Any, notify: Callable[[str], None]) -> Seal | None:
    """Seal, on an open connection, every run and invocation that is at rest and has none; return the last seal.

    An open run is noted, once, with a seal of its own kind. What should have been sealed long ago was put in since: it
    is left as it is, and `notify` is called.
    """
    sealed = {
        (row["kind"], row["subject_id"]) for row in fetch(connection, "select kind, subject_id from audit.fct_seals")
    }
    last, moment = _last(connection), now()
    chosen, late = [], []
    for subject, state in sorted(
        subjects(connection).items(), key=lambda found: (str(found[1]["ended"]), str(found[0]))
    ):
        # Neither what may still get rows nor what no run of ours can have left so is sealed.
        is_whole = subject.id is not None and state["ended"] is not None and not state["is_settling"]
        if is_whole and subject.kind != RECEIPT and subject not in sealed:
            opened = Subject(OPEN_RUN, subject.id)
            if last and last.sealed_at <= moment and is_late(state, last, known_open=opened in sealed):
                late.append(subject)
            elif not state["is_open"]:
                chosen.append(subject)
            elif opened not in sealed:
                chosen.append(opened)
    if late:
        notify(
            f"{late[0]} has no seal, though it ended before seal {last.number if last else 0} was made "
            f"({len(late)} such): not sealed; run: python -m loader audit-verify"
        )
    return add_seals(connection, chosen)


def is_late(state: Row, last: Seal, *, known_open: bool) -> bool:
    """Tell whether what has no seal was there, or open, too early for that; `known_open`: a seal notes it as open."""
    was_open = state["is_open"] or state["closed_at"] is not None
    moment = state["ended"]
    if was_open and not known_open:
        moment = state["opened"]
    elif was_open:
        moment = state["closed_at"] or last.sealed_at
    return moment is None or bool(last.sealed_at and moment < last.sealed_at - _OVERTAKES)


def add_seals(connection: Any, chosen: Sequence[Subject]) -> Seal | None:
    """Append the seals of these subjects, in this order, on an open connection; return the last seal there is."""
    last = _last(connection)
    if not chosen:
        return last
    held, added = contents(connection, audit_tables(connection), chosen), []
    for subject in chosen:
        content = held.get(subject, {})
        unsealed = Seal(
            number=last.number + 1 if last else 1,
            kind=subject.kind,
            subject_id=subject.id or "",
            rows=sum(table["rows"] for table in content.values()),
            content=json.dumps(content, sort_keys=True),
            previous_seal=last.seal if last else "",
            sealed_at=now(),
        )
        last = replace(unsealed, seal=unsealed.computed())
        added.append(asdict(last))
    insert(connection, SEALS, added)
    return last


def chain(connection: Any) -> list[Seal]:
    """Return every seal, by number."""
    return [Seal(**row) for row in fetch(connection, f"{_SEALS} order by number, rowid")]


def _last(connection: Any) -> Seal | None:
    found = fetch(connection, f"{_SEALS} order by number desc nulls last limit 1")
    return Seal(**found[0]) if found else None
