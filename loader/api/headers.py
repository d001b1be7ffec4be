"""What an answer says about the next request: `Retry-After`, `X-RateLimit-Limit`, `X-RateLimit-Remaining`. Pure.

An API that is in trouble sends anything in these. What is not understood counts as not sent.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

_DIGITS = re.compile(r"[0-9]{1,4000}")
_HIGHEST = 1_000_000
# The three forms of RFC 9110, section 5.6.7, begin with the name of a day.
_DATE = re.compile(r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[ -~]{10,40}")


def retry_after(headers: Mapping[str, str], cap_seconds: float, today: datetime) -> float:
    """Return the seconds that `Retry-After` asks for, at most the cap; 0 when it is absent, past or nonsense.

    It is a number of seconds or an HTTP date (RFC 9110, section 10.2.3). A date is held against the answer's own
    `Date`, which the same clock wrote; against `today` (with a zone) only where there is none.
    """
    text = headers.get("Retry-After", "").strip()
    if _DIGITS.fullmatch(text):
        return float(min(int(text), cap_seconds))
    until = http_date(text)
    if until is None:
        return 0.0
    since = http_date(headers.get("Date", "").strip()) or today
    return min(max((until - since).total_seconds(), 0.0), cap_seconds)


def header_number(headers: Mapping[str, str], name: str) -> int | None:
    """Return a whole number from 0 to a million, or None when the header is absent or says anything else."""
    text = headers.get(name, "").strip()
    number = int(text) if _DIGITS.fullmatch(text) else -1
    return number if 0 <= number <= _HIGHEST else None


def http_date(text: str) -> datetime | None:
    """Return the moment that an HTTP date names, None when the text is none."""
    if not _DATE.fullmatch(text):
        return None
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class ServerClock:
    """Learns from answers. `ahead` is None until one has named its date.

    A date is a whole second, cut off, and may have been written a moment before it was sent: it is never later than the
    server's clock, and the answer has been on its way since. So each answer says too little, and the largest that any
    of them says is the closest.
    """

    def __init__(self) -> None:
        self.ahead: timedelta | None = None

    def learn(self, date: str, received: datetime) -> None:
        """Learn from the `Date` of an answer that was received at this time of ours (with a zone)."""
        if (sent := http_date(date)) and (self.ahead is None or sent - received > self.ahead):
            self.ahead = sent - received
