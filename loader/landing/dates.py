"""How the dates of a file are read where they are no ISO dates: by an order and in a zone that somebody names."""

import os
import re
from dataclasses import dataclass

from loader.config import Settings, SourceProfile
from loader.errors import Refused
from loader.landing.dialect import PROFILE_VARIABLE
from loader.storage.warehouse import time_zone

ORDER_VARIABLE = "ETL_DATE_ORDER"
ZONE_VARIABLE = "ETL_ASSUME_ZONE"
_ORDERS = ("day", "month")
_OFFSET = re.compile(r"([+-])([01]?[0-9]|2[0-3])(?::?([0-5][0-9]))?")


@dataclass(frozen=True)
class Dates:
    """`order` is what stands first, `day` or `month`; `zone` is that of times without one: `Z`, `+01:00` or a name.

    None where nobody named it: such dates stay errors.
    """

    order: str | None = None
    zone: str | None = None


def read_dates(order: str | None, zone: str | None, profile: SourceProfile | None = None) -> Dates:
    """Return what these words name, or raise Refused; an absent or empty word names what the profile says."""
    told = profile or SourceProfile("")
    where = f"[sources.{told.name}] "
    return Dates(
        _order(order, "--date-order") if order else _order(told.date_order, f"{where}date_order"),
        _zone(zone, "--assume-zone") if zone else _zone(told.assume_zone, f"{where}assume_zone"),
    )


def dates_of_environment(settings: Settings) -> Dates:
    """Return what `ETL_DATE_ORDER`, `ETL_ASSUME_ZONE` and `ETL_SOURCE_PROFILE` name, or raise as `read_dates`."""
    named = os.environ.get
    return read_dates(named(ORDER_VARIABLE), named(ZONE_VARIABLE), settings.source_profile(named(PROFILE_VARIABLE)))


def dates_variables(dates: Dates) -> dict[str, str]:
    """Return the environment variables that name this."""
    return {ORDER_VARIABLE: dates.order or "", ZONE_VARIABLE: dates.zone or ""}


def _order(word: str | None, where: str) -> str | None:
    if word and word.lower() not in _ORDERS:
        raise Refused(f"{where} {word!r} is not known; use day or month: what stands first in the dates")
    return word.lower() if word else None


def _zone(word: str | None, where: str) -> str | None:
    if not word:
        return None
    if word.upper() in ("Z", "UTC", "GMT"):
        return "Z"
    if offset := _OFFSET.fullmatch(word):
        return f"{offset[1]}{offset[2]:0>2}:{offset[3] or '00'}"
    if name := time_zone(word):
        return name
    raise Refused(f"{where} {word!r} is not known; use an offset such as +01:00, Z, or a name as Europe/London")
