"""What one running sandbox was told on its command line."""

from dataclasses import dataclass

from sandbox.faults import Fault


@dataclass(frozen=True)
class Settings:
    """Choices of one run; a `rate_limit` of 0 switches the limiter off, times are in seconds."""

    environment: str = "development"
    rate_limit: int = 0
    rate_window: float = 60.0
    latency: float = 0.0
    withdrawn: frozenset[tuple[str, str]] = frozenset()
    faults: tuple[Fault, ...] = ()
