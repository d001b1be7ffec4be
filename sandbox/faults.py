"""Faults on demand: what may go wrong, for which requests, and how often."""

from dataclasses import dataclass
from typing import Any, Literal, Self, get_args

from pydantic import BaseModel, Field, model_validator

from sandbox.entity import ENTITIES

Kind = Literal[
    "latency",
    "status",
    "rate_limited",
    "drop_before_commit",
    "drop_after_commit",
    "hang",
    "hang_after_commit",
    "read_only",
    "redirect",
    "status_after_commit",
    "slow_head",
    "slow_body",
    "interim",
    "early_hints",
    "body",
]
KINDS: tuple[str, ...] = get_args(Kind)

_HOUR = 3600.0
# Default, lowest and highest `value`: seconds, or a status code.
_SECONDS = (_HOUR, 0.0, 24 * _HOUR)
_STATUS = (500.0, 400.0, 599.0)
# Between two bytes, or two interim answers.
_PAUSE = (0.1, 0.001, _HOUR)
_VALUES = {
    "latency": (1.0, 0.0, 24 * _HOUR),
    "slow_head": _PAUSE,
    "slow_body": _PAUSE,
    "interim": _PAUSE,
    "hang": _SECONDS,
    "hang_after_commit": _SECONDS,
    "status": _STATUS,
    "status_after_commit": (500.0, 200.0, 599.0),
}


class Fault(BaseModel, extra="forbid"):
    """One fault to apply to the next `count` matching requests (0 = to all of them).

    `value` is seconds for latency and hang, a status code for status, the target's URL for redirect. slow_head,
    slow_body and interim (endless 100 Continue) come after the commit, with `value` seconds between two pieces;
    early_hints sends a 103 before the answer. `status` and `text` are the answer of a body fault. `method` may be `*`.
    Without a `path_prefix` it is meant for every entity. A `reference` narrows the fault to requests whose JSON body
    has that key; the first `skip` of them go through.
    """

    kind: Kind
    count: int = Field(default=1, ge=0)
    method: str = "POST"
    path_prefix: str | tuple[str, ...] = tuple(entity.path for entity in ENTITIES.values())
    reference: str | None = None
    value: float | str | None = None
    skip: int = Field(default=0, ge=0)
    status: int = Field(default=201, ge=200, le=599)
    text: str = ""

    @model_validator(mode="after")
    def _value_fits_kind(self) -> Self:
        if self.kind == "redirect":
            if not isinstance(self.value, str):
                raise ValueError("redirect needs a URL as its value")
        elif self.kind in _VALUES:
            default, lowest, highest = _VALUES[self.kind]
            self.value = default if self.value is None else float(self.value)
            if not lowest <= self.value <= highest:
                raise ValueError(f"value of {self.kind} must be {lowest:g} to {highest:g}")
        elif self.value is not None:
            raise ValueError(f"{self.kind} takes no value")
        return self

    @property
    def commits(self) -> bool:
        """Tell whether the request is carried out before the fault happens."""
        return self.kind.endswith("_after_commit") or self.kind in ("slow_head", "slow_body", "interim")

    @property
    def number(self) -> float:
        """The value as a number; 0 where the kind has none."""
        return self.value if isinstance(self.value, float) else 0.0

    def matches(self, method: str, path: str, reference: str | None) -> bool:
        """Tell whether a request is one this fault is meant for."""
        return (
            self.method in ("*", method) and path.startswith(self.path_prefix) and self.reference in (None, reference)
        )


def parse_fault(text: str) -> Fault:
    """Read `KIND[:COUNT[:VALUE]]`; for a body fault VALUE is the raw text. Raises `ValueError`."""
    kind, _, rest = text.partition(":")
    count, _, value = rest.partition(":")
    if kind not in KINDS:
        raise ValueError(f"unknown fault {kind!r}, choose from {', '.join(KINDS)}")
    options: dict[str, Any] = {"kind": kind, "count": count or 1}
    if value:
        options["text" if kind == "body" else "value"] = value
    return Fault(**options)


@dataclass
class _Armed:
    fault: Fault
    matched: int = 0

    def fires(self) -> bool:
        self.matched += 1
        return self.matched > self.fault.skip

    def spent(self) -> bool:
        return self.fault.count > 0 and self.matched >= self.fault.skip + self.fault.count


class FaultBook:
    """The faults in force, oldest first."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        self._armed = [_Armed(fault) for fault in faults]

    def add(self, fault: Fault) -> None:
        """Put a fault in force."""
        self._armed.append(_Armed(fault))

    def clear(self) -> None:
        """Take all faults out of force; requests already caught by one stay caught."""
        self._armed.clear()

    def listed(self) -> list[dict[str, Any]]:
        """Give the faults in force, each with the number of requests it has `matched`."""
        return [{**armed.fault.model_dump(), "matched": armed.matched} for armed in self._armed]

    def take(self, method: str, path: str, reference: str | None) -> list[Fault]:
        """Use up and give the faults for one request: any latencies, then at most one of another kind."""
        taken: list[Fault] = []
        for armed in self._armed:
            if armed.fault.matches(method, path, reference) and armed.fires():
                taken.append(armed.fault)
                if armed.fault.kind != "latency":
                    break
        self._armed = [armed for armed in self._armed if not armed.spent()]
        return taken
