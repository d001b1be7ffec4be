"""Reads single values of `etl.toml`; KeyError and TypeError say what is wrong with one, and name its key."""

from typing import Any

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
