"""Asks the API within a time limit that nothing can stretch: no slow resolver, no byte every few seconds."""

import time
from collections.abc import Mapping

from loader.api.answer import LATE, Answer, Loss
from loader.api.client import MAX_BODY_BYTES, Api
from loader.config import ProbeLimits


class Asking:
    """The requests of one probe; each has `request_seconds`, all together have `total_seconds`."""

    def __init__(self, api: Api, limits: ProbeLimits) -> None:
        self.api = api
        self.address = api.address
        self._request_seconds = limits.request_seconds
        self._deadline = time.monotonic() + limits.total_seconds
        self._has_answered = False

    def refresh_token(self, refused: Answer) -> bool:
        """Tell whether there is another token than the one refused; the command that gives it has its own time."""
        began = time.monotonic()
        try:
            return self.api.refresh_token(refused)
        finally:
            self._deadline += time.monotonic() - began

    def get(
        self,
        path: str,
        params: Mapping[str, str | int] | None = None,
        *,
        anonymous: bool = False,
        max_bytes: int = MAX_BODY_BYTES,
    ) -> Answer:
        """Send a GET; without the token when `anonymous`. One that is late is sent again while there is time.

        An API that has answered nothing at all yet is given one request.
        """
        while (seconds := min(self._request_seconds, self._deadline - time.monotonic())) > 0:
            answer = self.api.get(path, params, anonymous=anonymous, max_bytes=max_bytes, seconds=seconds)
            self._has_answered = self._has_answered or answer.status is not None
            if answer.reason != LATE or not self._has_answered:
                return answer
        return Answer(None, 0.0, loss=Loss.NO_ANSWER, reason=LATE)
