"""The settings of one run: `etl.toml`, and the environment variables that replace parts of it."""

import os
import re
import tomllib
from dataclasses import field, fields
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field, StrictBool, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as table
from pydantic_core import ErrorDetails

from loader.errors import Refused

ROOT = Path(__file__).resolve().parents[1]
TOKEN_VARIABLE = "QGP_API_TOKEN"  # noqa: S105 - the name of the variable, not its value
TOKEN_COMMAND_VARIABLE = "QGP_API_TOKEN_COMMAND"  # noqa: S105 - the name of the variable, not its value
SOURCE_VARIABLE = "ETL_SOURCE"
ENTITY_VARIABLE = "ETL_ENTITY"
# As in profiles.yml.
DATABASE_VARIABLE, DATABASE = "ETL_DATABASE", "data/etl.duckdb"
# Schemas of the project's and DuckDB's own.
_TAKEN_NAMES = {"audit", "contract", "landing", "payload", "reference", "staging", "test_failures", "validation"}
_TAKEN_NAMES |= {"information_schema", "main", "pg_catalog", "system", "temp"}
_NO_NAME = re.compile("""["'#?;\x00-\x1f\x7f]""")
MIN_RETENTION_DAYS, MAX_RETENTION_DAYS = 90, 36_500
_HOURS_OF_A_YEAR = 8_760
# More than 11 days: what is longer no time-out of the system takes.
_MAX_SECONDS = 1_000_000


def _retention_days(days: int) -> int:
    if MIN_RETENTION_DAYS <= days <= MAX_RETENTION_DAYS:
        return days
    raise ValueError(f"at least {MIN_RETENTION_DAYS}, at most {MAX_RETENTION_DAYS}")


# A key that is not among them is refused. Deferred: one validator for all tables in place of one for each.
_CLOSED = ConfigDict(extra="forbid", defer_build=True)
_Path = Annotated[Path, AfterValidator(lambda path: ROOT / path)]
_Number = Annotated[int, Field(strict=True, ge=0)]
_FromOne = Annotated[int, Field(strict=True, ge=1)]
_Seconds = Annotated[float, Field(strict=True, ge=0, le=_MAX_SECONDS)]
# A time-out of nothing would let nothing through.
_SomeSeconds = Annotated[float, Field(strict=True, gt=0, le=_MAX_SECONDS)]


@table(frozen=True, config=_CLOSED)
class Limits:
    """The limits of the `[source]` table: what is larger is refused."""

    max_file_bytes: _FromOne
    max_record_bytes: _FromOne
    max_field_bytes: _FromOne
    max_columns: _FromOne


@table(frozen=True, config=_CLOSED)
class _Source(Limits):
    default: dict[str, _Path]


@table(frozen=True, config=_CLOSED)
class _Output:
    directory: Annotated[Path, AfterValidator(lambda path: ROOT / (os.environ.get("ETL_OUTPUT_DIR") or path))]


@table(frozen=True, config=_CLOSED)
class _Warehouse:
    lock_wait_seconds: _Seconds
    other_host_hours: Annotated[int, Field(strict=True, ge=0, le=_HOURS_OF_A_YEAR)]


@table(frozen=True, config=_CLOSED)
class _Retention:
    days: Annotated[int, Field(strict=True), AfterValidator(_retention_days)]


@table(frozen=True, config=_CLOSED)
class Delivery:
    """The `[delivery]` table: sizes in records, times in seconds."""

    batch_size: _FromOne
    batch_delay_seconds: _Seconds
    max_concurrency: _FromOne
    max_requests_per_minute: _Number
    max_attempts: _FromOne
    max_seconds_per_record: _Seconds
    backoff_seconds: _Seconds
    backoff_max_seconds: _Seconds
    connect_timeout_seconds: _SomeSeconds
    read_timeout_seconds: _SomeSeconds
    read_timeout_seconds_per_megabyte: _Seconds
    rate_limit_window_seconds: _SomeSeconds
    rate_limit_max_waits: _Number
    retry_after_max_seconds: _Seconds
    stop_after_lost_answers: _FromOne


@table(frozen=True, config=_CLOSED)
class ProbeLimits:
    """The `[probe]` table: seconds for connecting, for one request from end to end, and for all of them together.

    `entity` is the one whose card is compared where none is named.
    """

    entity: str
    connect_seconds: _SomeSeconds
    request_seconds: _SomeSeconds
    total_seconds: _SomeSeconds


@table(frozen=True, config=_CLOSED)
class Environment:
    """One `[environments.*]` table: where an API may be, whether records may be imported there, whom its TLS trusts."""

    name: str
    allowed_hosts: tuple[str, ...]
    url: str | None = None
    url_variable: str | None = None
    import_allowed: StrictBool = Field(default=True, alias="import")
    ca_bundle: _Path | None = None

    def address(self) -> str:
        """Return the configured address, not yet checked; raises Refused where none is."""
        address = (os.environ.get(self.url_variable or "") or self.url or "").strip()
        if not address:
            raise Refused(f"{self.name}: no address; export {self.url_variable}=https://<host of the {self.name} API>")
        return address


@table(frozen=True, config=_CLOSED)
class SourceProfile:
    """One `[sources.*]` table: how the files of one export are written, and which of its columns is which of ours.

    `columns` has our source column by the name that the file gives it. What is None is as the command says.
    """

    name: str
    delimiter: str | None = None
    encoding: str | None = None
    sheet: str | None = None
    date_order: str | None = None
    assume_zone: str | None = None
    columns: dict[str, str] = field(default_factory=dict)


@table(frozen=True, config=_CLOSED)
class _Production:
    hosts: tuple[str, ...]


@table(frozen=True, config=_CLOSED)
class Settings:
    """The tables of `etl.toml`, checked; paths are absolute."""

    source: _Source
    output: _Output
    warehouse: _Warehouse
    retention: _Retention
    delivery: Delivery
    probe: ProbeLimits
    environments: Annotated[dict[str, Environment], Field(min_length=1)]
    production: _Production
    sources: dict[str, SourceProfile] = field(default_factory=dict)

    @cached_property
    def database(self) -> Path:
        """Return the DuckDB file, the same for a whole run."""
        return database_path()

    def environment(self, name: str) -> Environment:
        """Return the environment `name`; raises Refused where `etl.toml` has none."""
        if name not in self.environments:
            raise Refused(f"unknown environment {name!r}; etl.toml knows {', '.join(sorted(self.environments))}")
        return self.environments[name]

    def source_profile(self, name: str | None) -> SourceProfile | None:
        """Return the profile `name`, none for no name; raises Refused where `etl.toml` has no such profile."""
        if not name:
            return None
        if name not in self.sources:
            known = ", ".join(sorted(self.sources)) or "none yet: add a table [sources.NAME]"
            raise Refused(f"unknown source profile {name!r}; etl.toml knows {known}")
        return self.sources[name]


# The tables that hold one for each name, and what such a one is.
_NAMED = {"environments": Environment, "sources": SourceProfile}


def load_settings() -> Settings:
    """Read the settings from `etl.toml`, or from the file that `ETL_CONFIG` names.

    Raises Refused where it is missing or malformed, lacks a value, has one of the wrong kind, or a key not known.
    """
    path = Path(os.environ.get("ETL_CONFIG") or ROOT / "etl.toml")
    try:
        return _checked(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}; restore it, or correct ETL_CONFIG") from error
    except ValidationError as error:
        raise Refused(f"{path}: {_objection(error)}") from error
    except (ValueError, RecursionError) as error:
        raise Refused(f"{path}: {error}; correct it") from error


def database_path() -> Path:
    """Return the DuckDB file: `ETL_DATABASE`, by default `data/etl.duckdb`.

    Links are followed, so that the lock, the seal and all else that is kept beside it are there once. Raises Refused as
    `named_path`.
    """
    return Path(os.path.realpath(named_path(os.environ.get(DATABASE_VARIABLE) or DATABASE)))


def named_path(name: str) -> Path:
    """Return the DuckDB file of this name, from the project's folder or the user's own (`~`).

    DuckDB calls the database by the file's name up to its first dot. Raises Refused for a name that cannot be one.
    """
    path = ROOT / Path(name).expanduser()
    called = path.name.lstrip(".").split(".")[0]
    if called.casefold() in _TAKEN_NAMES:
        raise Refused(
            f"ETL_DATABASE: {path}: DuckDB would call the database '{called}', "
            "and a schema has that name; give the file another, as etl.duckdb"
        )
    if sign := _NO_NAME.search(path.name):
        raise Refused(f"ETL_DATABASE: {path}: the file's name has the sign {sign[0]!r}; give it another, as etl.duckdb")
    return path


def _checked(tables: dict[str, Any]) -> Settings:
    """Return the tables; of one that is not there each key is missing."""
    for named in map(tables.get, _NAMED):
        for name, entry in named.items() if isinstance(named, dict) else ():
            if isinstance(entry, dict):
                entry["name"] = name
    return TypeAdapter(Settings).validate_python({table.name: {} for table in fields(Settings)} | tables)


# What a value must be, by pydantic's word for what is wrong with it.
_MUST_BE = {
    "greater_than": "above 0",
    "greater_than_equal": "at least {ge}",
    "less_than_equal": "at most {le:,}",
    "value_error": "{error}",
    "int_type": "int",
    "float_type": "float",
    "bool_type": "bool",
    "tuple_type": "a list of texts",
    "dict_type": "a table",
    "dataclass_type": "a table",
}


def _objection(found: ValidationError) -> str:
    """Return what is wrong first; before all else a key that is misspelt, since the right one is missing then."""
    objections = [_sentence(error) for error in found.errors()]
    return next((text for text in objections if "did you mean" in text), objections[0])


def _sentence(error: ErrorDetails) -> str:
    names = [str(name) for name in error["loc"]]
    depth = 2 if names[0] in _NAMED else 1
    table, key = f"[{'.'.join(names[:depth])}]", " ".join(names[depth:])
    if error["type"] == "unexpected_keyword_argument":
        return f"{table} no such key: {key}; {_fix(names)}" if key else f"no such table: {table}; {_fix(names)}"
    where = f"{table} {key}".strip()
    if error["type"] in ("missing", "too_short"):
        return f"{where} is missing; add it as in the etl.toml of the repository"
    return f"{where} must {_must(error)}, not {error['input']!r}; correct it"


def _fix(names: list[str]) -> str:
    """Say which key or table may be meant by a name that is not known, which comes after those of its tables."""
    tables = Settings.__pydantic_fields__  # type: ignore[attr-defined]
    known: Any = Settings if len(names) == 1 else _NAMED.get(names[0]) or tables[names[0]].annotation
    keys = [of.alias or name for name, of in known.__pydantic_fields__.items()]
    alike = get_close_matches(names[-1], keys, 1)
    return f"did you mean {alike[0]}?" if alike else "remove it"


def _must(error: ErrorDetails) -> str:
    kind, bounds = error["type"], error.get("ctx", {})
    if kind == "greater_than_equal" and not bounds["ge"]:
        return "not be negative"
    # A whole number that no float can hold is too large as well.
    if isinstance(bounds.get("le"), float) or (kind == "float_type" and type(error["input"]) is int):
        return f"be at most {_MAX_SECONDS:,} seconds"
    return f"be {_MUST_BE.get(kind, 'str').format(**bounds)}"
