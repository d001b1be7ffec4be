"""The settings of one run: `etl.toml`, and the environment variables that replace parts of it."""

import os
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from loader.errors import Refused

# More than 11 days: what is longer no time-out of the system takes.
_MAX_SECONDS = 1_000_000
# A time-out of nothing would let nothing through.
_ABOVE_ZERO = {
    "delivery": ("connect_timeout_seconds", "read_timeout_seconds", "rate_limit_window_seconds"),
    "probe": ("connect_seconds", "request_seconds", "total_seconds"),
}


def table_of(table: dict[str, Any], section: str) -> dict[str, Any]:
    """Return a section.

    Raises:
        KeyError: there is none.
        TypeError: it is none.

    """
    found = table.get(section, {})
    if not isinstance(found, dict):
        raise TypeError(f"[{section}] must be a table, not {found!r}")
    if not found:
        raise KeyError(f"[{section}]")
    return found


def value_of(table: dict[str, Any], section: str, key: str, kind: type) -> Any:
    """Return the value of a key; a `float` is seconds.

    Raises:
        KeyError: it is missing; names the key.
        TypeError: it is of another kind, negative, or no time that can be waited; names the key.

    """
    if section not in table or key not in table_of(table, section):
        raise KeyError(f"[{section}] {key}")
    value = table[section][key]
    accepted: tuple[type, ...] = (int, float) if kind is float else (kind,)
    if isinstance(value, bool) or not isinstance(value, accepted):
        raise TypeError(f"[{section}] {key} must be {kind.__name__}, not {value!r}")
    if isinstance(value, int | float) and value < 0:
        raise TypeError(f"[{section}] {key} must not be negative, not {value!r}")
    if kind is float and not value <= _MAX_SECONDS:
        raise TypeError(f"[{section}] {key} must be at most {_MAX_SECONDS:,} seconds, not {value!r}")
    if not value and key in _ABOVE_ZERO.get(section, ()):
        raise TypeError(f"[{section}] {key} must be above 0")
    return value


def at_least(least: int, section: str, key: str, value: Any) -> Any:
    """Return the value, when it is not less; TypeError otherwise."""
    if value < least:
        raise TypeError(f"[{section}] {key} must be at least {least}, not {value!r}")
    return value


def texts(where: str, value: Any) -> tuple[str, ...]:
    """Return a list of texts; TypeError for anything else."""
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise TypeError(f"{where} must be a list of texts, not {value!r}")
    return tuple(value)


ROOT = Path(__file__).resolve().parents[1]
TOKEN_VARIABLE = "QGP_API_TOKEN"  # noqa: S105 - the name of the variable, not its value
TOKEN_COMMAND_VARIABLE = "QGP_API_TOKEN_COMMAND"  # noqa: S105 - the name of the variable, not its value
SOURCE_VARIABLE = "ETL_SOURCE"
MIN_RETENTION_DAYS, MAX_RETENTION_DAYS = 90, 36_500
_HOURS_OF_A_YEAR = 8_760


@dataclass(frozen=True)
class Limits:
    """The limits of the `[source]` table: what is larger is refused."""

    max_file_bytes: int
    max_record_bytes: int
    max_field_bytes: int
    max_columns: int


@dataclass(frozen=True)
class Delivery:
    """The `[delivery]` table: sizes in records, times in seconds."""

    batch_size: int
    batch_delay_seconds: float
    max_concurrency: int
    max_requests_per_minute: int
    max_attempts: int
    max_seconds_per_record: float
    backoff_seconds: float
    backoff_max_seconds: float
    connect_timeout_seconds: float
    read_timeout_seconds: float
    read_timeout_seconds_per_megabyte: float
    rate_limit_window_seconds: float
    rate_limit_max_waits: int
    retry_after_max_seconds: float
    stop_after_lost_answers: int


@dataclass(frozen=True)
class ProbeLimits:
    """The `[probe]` table: seconds for connecting, for one request from end to end, and for all of them together."""

    connect_seconds: float
    request_seconds: float
    total_seconds: float


@dataclass(frozen=True)
class Environment:
    """One `[environments.*]` table: where an API may be, whether records may be imported there, whom its TLS trusts."""

    name: str
    url: str | None
    url_variable: str | None
    allowed_hosts: tuple[str, ...]
    import_allowed: bool
    ca_bundle: Path | None = None

    def address(self) -> str:
        """Return the configured address, not yet checked.

        Raises:
            Refused: none is configured; names the variable to set.

        """
        address = (os.environ.get(self.url_variable or "") or self.url or "").strip()
        if not address:
            raise Refused(f"{self.name}: no address; export {self.url_variable}=https://<host of the {self.name} API>")
        return address


@dataclass(frozen=True)
class Settings:
    """Everything `etl.toml` says, checked; paths are absolute."""

    default_source: Path
    limits: Limits
    database: Path
    output: Path
    lock_wait_seconds: float
    other_host_hours: int
    delivery: Delivery
    probe: ProbeLimits
    environments: dict[str, Environment]
    production_hosts: tuple[str, ...]
    retention_days: int

    def environment(self, name: str) -> Environment:
        """Return the environment `name`.

        Raises:
            Refused: `etl.toml` has no such environment.

        """
        if name not in self.environments:
            raise Refused(f"unknown environment {name!r}; etl.toml knows {', '.join(sorted(self.environments))}")
        return self.environments[name]


def load_settings() -> Settings:
    """Read the settings from `etl.toml`, or from the file that `ETL_CONFIG` names.

    Raises:
        Refused: the file is missing or malformed, or a value is missing or of the wrong kind.

    """
    path = Path(os.environ.get("ETL_CONFIG") or ROOT / "etl.toml")
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        return Settings(
            default_source=ROOT / value_of(table, "source", "default", str),
            limits=_limits(table),
            database=database_path(),
            output=ROOT / (os.environ.get("ETL_OUTPUT_DIR") or value_of(table, "output", "directory", str)),
            lock_wait_seconds=value_of(table, "warehouse", "lock_wait_seconds", float),
            other_host_hours=_other_host_hours(value_of(table, "warehouse", "other_host_hours", int)),
            delivery=_delivery(table),
            probe=ProbeLimits(*(value_of(table, "probe", field.name, float) for field in fields(ProbeLimits))),
            environments={name: _environment(name, entry) for name, entry in table_of(table, "environments").items()},
            production_hosts=texts("[production] hosts", value_of(table, "production", "hosts", list)),
            retention_days=_retention_days(value_of(table, "retention", "days", int)),
        )
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}; restore it, or correct ETL_CONFIG") from error
    except KeyError as error:
        raise Refused(f"{path}: {error.args[0]} is missing; add it as in the etl.toml of the repository") from error
    except (ValueError, TypeError, RecursionError) as error:
        raise Refused(f"{path}: {error}; correct it") from error


def database_path() -> Path:
    """Return the DuckDB file: `ETL_DATABASE`, by default `data/etl.duckdb`, as in profiles.yml.

    Links are followed, so that the lock, the seal and all else that is kept beside it are there once.
    """
    return Path(os.path.realpath(ROOT / (os.environ.get("ETL_DATABASE") or "data/etl.duckdb")))


def _limits(table: dict[str, Any]) -> Limits:
    values = {field.name: value_of(table, "source", field.name, int) for field in fields(Limits)}
    return Limits(**{name: at_least(1, "source", name, value) for name, value in values.items()})


def _retention_days(days: int) -> int:
    if MIN_RETENTION_DAYS <= days <= MAX_RETENTION_DAYS:
        return days
    raise TypeError(f"[retention] days must be at least {MIN_RETENTION_DAYS}, at most {MAX_RETENTION_DAYS}, not {days}")


def _other_host_hours(hours: int) -> int:
    if hours <= _HOURS_OF_A_YEAR:
        return hours
    raise TypeError(f"[warehouse] other_host_hours must be at most {_HOURS_OF_A_YEAR:,}, not {hours}")


def _delivery(table: dict[str, Any]) -> Delivery:
    values = {field.name: value_of(table, "delivery", field.name, field.type) for field in fields(Delivery)}  # type: ignore[arg-type]
    for key in ("batch_size", "max_concurrency", "max_attempts", "stop_after_lost_answers"):
        at_least(1, "delivery", key, values[key])
    return Delivery(**values)


def _environment(name: str, entry: Any) -> Environment:
    where = f"[environments.{name}]"
    if not isinstance(entry, dict):
        raise TypeError(f"{where} must be a table, not {entry!r}")
    for key, kind in (("url", str), ("url_variable", str), ("import", bool), ("ca_bundle", str)):
        if key in entry and not isinstance(entry[key], kind):
            raise TypeError(f"{where} {key} must be {kind.__name__}, not {entry[key]!r}")
    return Environment(
        name=name,
        url=entry.get("url"),
        url_variable=entry.get("url_variable"),
        allowed_hosts=texts(f"{where} allowed_hosts", entry["allowed_hosts"]),
        import_allowed=entry.get("import", True),
        ca_bundle=ROOT / entry["ca_bundle"] if "ca_bundle" in entry else None,
    )
