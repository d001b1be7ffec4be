"""What will go wrong in one rehearsal, drawn from its seed. Pure: the same seed and records give the same plan."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from loader.steps import Step

# The faults that hit one request, with their values: seconds are the sandbox's own default, longer than any time-out.
SERVER_ERRORS = (408, 500, 502, 503, 504, 520)
FAULTS = {
    "rate_limited": (None,),
    "status": SERVER_ERRORS,
    "status_after_commit": SERVER_ERRORS,
    "drop_before_commit": (None,),
    "drop_after_commit": (None,),
    "hang": (None,),
    "hang_after_commit": (None,),
}
HANGS = ("hang", "hang_after_commit")
# More than the loader takes in a row before it stops.
OUTAGE_REQUESTS = 14
_LATER = {Step.SEND: 20, Step.COMMIT_INTENTS: 2, Step.COMMIT_OUTCOMES: 2}


@dataclass(frozen=True)
class PlannedFault:
    """The next `count` requests for one reference meet this fault."""

    kind: str
    reference: str
    count: int
    value: int | None


@dataclass(frozen=True)
class Kill:
    """One `kill -9` of the loader: at a labelled point, after so many requests, or after a share of its usual time."""

    label: str | None = None
    requests: int | None = None
    share: float = 0.0

    def __str__(self) -> str:
        if self.label:
            return f"at {self.label}"
        return f"after {self.requests} requests" if self.requests else "at a random moment"


@dataclass(frozen=True)
class Event:
    """Something that happens to the sandbox at its n-th request: a kill of `down` seconds, or an outage of 503."""

    at_request: int
    down: float | None = None


@dataclass(frozen=True)
class Plan:
    """All that is to happen; `rebuilds` is how many of the later runs name the file again."""

    seed: int
    references: tuple[str, ...]
    faults: tuple[PlannedFault, ...]
    kills: tuple[Kill, ...]
    events: tuple[Event, ...]
    rebuilds: int


def make_plan(seed: int, references: Sequence[str]) -> Plan:
    """Draw the plan for these references."""
    draw, records = random.Random(seed), len(references)  # noqa: S311 - repeatable, not secret
    return Plan(
        seed,
        tuple(references),
        _faults(draw, references),
        _kills(draw, records),
        _events(draw, records),
        rebuilds=records // 700,
    )


def _faults(draw: random.Random, references: Sequence[str]) -> tuple[PlannedFault, ...]:
    """Draw each kind at least twice. A reference meets one kind only, so that the log tells what is left of it."""
    records = len(references)
    kinds = [kind for kind in FAULTS for _ in range(max(2, records // (250 if kind in HANGS else 100)))]
    hit = draw.sample(list(references), len(kinds))
    return tuple(
        PlannedFault(kind, reference, _count(draw, kind), draw.choice(FAULTS[kind]))
        for kind, reference in zip(kinds, hit, strict=True)
    )


def _count(draw: random.Random, kind: str) -> int:
    """Draw how often in a row: 5 is more than a record's attempts. Each hang takes a whole time-out."""
    return draw.choices([1, 2, 5], [6, 2, 0 if kind in HANGS else 1])[0]


def _kills(draw: random.Random, records: int) -> tuple[Kill, ...]:
    """Draw as many of each kind; the first once records are being sent, so that later runs need no build."""
    number = max(1, records // 450)
    by_requests = [Kill(requests=draw.randint(3, max(4, records // 8))) for _ in range(number)]
    labels = [Kill(label=_label(draw)) for _ in range(number)]
    moments = [Kill(share=draw.random()) for _ in range(number)]
    later = [*by_requests[1:], *labels, *moments]
    draw.shuffle(later)
    return (by_requests[0], *later)


def _label(draw: random.Random) -> str:
    step = draw.choice([step for step in Step if step is not Step.BUILD])
    return f"{draw.choice(['before', 'after'])}:{step.value}:{draw.randint(1, _LATER.get(step, 1))}"


def _events(draw: random.Random, records: int) -> tuple[Event, ...]:
    restarts = [Event(draw.randint(1, records), draw.uniform(0.1, 1.5)) for _ in range(max(1, records // 500))]
    outages = [Event(draw.randint(1, records)) for _ in range(max(1, records // 1000))]
    return tuple(sorted([*restarts, *outages], key=lambda event: event.at_request))
