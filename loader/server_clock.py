"""How far the server's clock is ahead of ours, as the `Date` of its answers says."""

from datetime import datetime, timedelta

from loader.retry_after import http_date


class ServerClock:
    """Learns from answers. `ahead` is None until one has named its date.

    A date is a whole second, cut off, and may have been written a moment before it was sent: it is never later than the
    server's clock, and the answer has been on its way since. So each answer says too little, and the largest that any
    of them says is the closest.
    """

    def __init__(self) -> None:
        self._latest = ""
        self.ahead: timedelta | None = None

    def learn(self, date: str, received: datetime) -> None:
        """Learn from the `Date` of an answer that was received at this time of ours (with a zone)."""
        if date == self._latest:
            # The first answer of a second says most.
            return
        self._latest = date
        if (sent := http_date(date)) and (self.ahead is None or sent - received > self.ahead):
            self.ahead = sent - received
