"""Counts the requests of a run over time, in at most 60 buckets, and finds where the axes of their chart end."""

from dataclasses import dataclass
from datetime import UTC, datetime
from math import floor, log10

from loader.storage.warehouse import Row, Warehouse

_MOST_BUCKETS = 60
_SECOND, _MINUTE, _HOUR, _DAY = 1_000, 60_000, 3_600_000, 86_400_000
# Of a bucket, in milliseconds.
_WIDTHS = (
    *(100, 200, 500),
    *(width * _SECOND for width in (1, 2, 5, 10, 15, 30)),
    *(width * _MINUTE for width in (1, 2, 5, 10, 15, 30)),
    *(width * _HOUR for width in (1, 2, 4, 12, 24)),
)
_STEPS = (1.0, 2.0, 4.0, 5.0, 10.0)
# The kinds of answers, in the order of the parts of a column from below.
ANSWERS = {
    "accepted": "accepted (201, 409)",
    "refused": "refused, or not the API's",
    "limited": "rate limited (429)",
    "lost": "5xx or no answer",
}
_SPAN = """
    select epoch_ms(min(sent_at)) as first, epoch_ms(max(sent_at)) as last
    from audit.fct_attempts where run_id = ? having count(*) > 0
"""
_BUCKETS = """
    select
        (epoch_ms(sent_at) - $first) // $width as place,
        count(*) as requests,
        count(*) filter (where next_action = 'settle' and status_code in (201, 409)) as accepted,
        count(*) filter (where next_action = 'wait') as limited,
        count(*) filter (where next_action = 'retry') as lost,
        requests - accepted - limited - lost as refused,
        quantile_cont(response_time_ms, 0.5) filter (where status_code is not null) as median_ms,
        quantile_cont(response_time_ms, 0.95) filter (where status_code is not null) as slow_ms
    from audit.fct_attempts where run_id = $run_id
    group by place order by place
"""


@dataclass(frozen=True)
class Series:
    """The requests of a run over time, in buckets of one width; a bucket without a request is left out.

    `places` is the number of buckets with those left out. `labels` are the times at the start, the middle and the end.
    """

    width: str
    places: int
    buckets: list[Row]
    labels: list[str]
    top_requests: float
    top_ms: float
    busiest_minute: int


def series(warehouse: Warehouse, run_id: str) -> Series | None:
    """Return the requests of a run over time; None when it has sent none, or is older than `audit.fct_attempts`."""
    spans = warehouse.rows(_SPAN, [run_id])
    if not spans:
        return None
    width = next((width for width in _WIDTHS if _places(spans[0], width) <= _MOST_BUCKETS), _WIDTHS[-1])
    first = spans[0]["first"] // width * width
    buckets = _buckets(warehouse, run_id, first, width)
    minutes = _buckets(warehouse, run_id, spans[0]["first"], _MINUTE)
    places = _places(spans[0], width)
    days = spans[0]["first"] // _DAY != spans[0]["last"] // _DAY
    pattern = "%d %b %H:%M" if days else "%H:%M:%S" if width >= _SECOND else "%H:%M:%S.%f"
    for bucket in buckets:
        bucket["begins"] = _clock(first + bucket["place"] * width, pattern)
    return Series(
        width=f"{width / _SECOND:g} s" if width < _MINUTE else f"{width // _MINUTE} min",
        places=places,
        buckets=buckets,
        labels=[_clock(first + place * width, pattern) for place in sorted({0, places // 2, places})],
        top_requests=round_up(max(bucket["requests"] for bucket in buckets)),
        top_ms=round_up(max(bucket["slow_ms"] or 0 for bucket in buckets)),
        busiest_minute=max(bucket["requests"] for bucket in minutes),
    )


def round_up(value: float) -> float:
    """Return a round number that is not smaller, to end an axis with; at least 1."""
    if value <= 1:
        return 1.0
    power: float = 10.0 ** floor(log10(value))
    return next(step * power for step in _STEPS if step * power >= value)


def _places(span: Row, width: int) -> int:
    return int(span["last"] // width - span["first"] // width + 1)


def _buckets(warehouse: Warehouse, run_id: str, first: int, width: int) -> list[Row]:
    return warehouse.rows(_BUCKETS, {"run_id": run_id, "first": first, "width": width})


def _clock(milliseconds: int, pattern: str) -> str:
    text = datetime.fromtimestamp(milliseconds / _SECOND, UTC).strftime(pattern)
    return text[:-5] if pattern.endswith("%f") else text
